"""Anthropic's messages with as many turns as there may be."""

import json

from littoral.gateway.dialect.anthropic import ask
from littoral.gateway.dialect.responses import ask as responses


def test_what_a_user_says_in_many_turns_is_read_in_time_that_grows_with_it():
    """Where each turn costs as much as all before it, this takes longer than a test may."""
    turns = [{"role": "user", "content": "x" * 370}] * 10_000
    asked = ask.read(json.dumps({"model": "m", "max_tokens": 9, "messages": turns}).encode())
    (message,) = asked.body.messages
    assert bytes(message.content).count(b'"text":') == 10_000


def test_reasoning_in_many_items_is_read_in_time_that_grows_with_it():
    """Where each item costs as much as all before it, this takes longer than a test may."""
    first, *rest = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}
        for text in ["😀", *["x" * 1500] * 5_000]
    ]
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    items = [{"role": "user", "content": "x"}, first, *rest, *[call] * 4_900]
    asked = responses.read(json.dumps({"model": "m", "input": items}).encode())
    _, turn = asked.body.messages
    assert len(turn.reasoning_content) == 7_500_001
    assert len(turn.tool_calls) == 4_900

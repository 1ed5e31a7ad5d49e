"""Anthropic's messages with as many turns as there may be."""

import json

from littoral.gateway.dialect.anthropic import ask


def test_what_a_user_says_in_many_turns_is_read_in_time_that_grows_with_it():
    """Where each turn costs as much as all before it, this takes longer than a test may."""
    turns = [{"role": "user", "content": "x" * 370}] * 10_000
    asked = ask.read(json.dumps({"model": "m", "max_tokens": 9, "messages": turns}).encode())
    (message,) = asked.body.messages
    assert bytes(message.content).count(b'"text":') == 10_000

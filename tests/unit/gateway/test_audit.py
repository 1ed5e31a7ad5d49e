"""The text of answers in each dialect, and what judges make of two of them."""

import json

import pytest

from littoral.domain.policy import Judge
from littoral.gateway import audit
from littoral.gateway.request import Chat, Completion, Message


def whole(**fields):
    return json.dumps(fields).encode()


def events(*each, data=b"data: "):
    return b"".join(data + json.dumps(event).encode() + b"\n\n" for event in each)


@pytest.mark.parametrize(
    "answer",
    [
        whole(choices=[{"message": {"role": "assistant", "content": "so it is"}}]),
        whole(choices=[{"text": "so it is"}]),
        whole(
            type="message",
            content=[{"type": "text", "text": "so "}, {"type": "text", "text": "it is"}],
        ),
        whole(model="m", message={"role": "assistant", "content": "so it is"}, done=True),
        whole(model="m", response="so it is", done=True),
        whole(
            object="response",
            output=[{"type": "message", "content": [{"type": "output_text", "text": "so it is"}]}],
        ),
    ],
)
def test_a_whole_answer_of_any_dialect_has_its_text(answer):
    assert audit.text_of(answer, streamed=False) == "so it is"


@pytest.mark.parametrize(
    "answer",
    [
        events(
            {"choices": [{"delta": {"role": "assistant"}}]},
            {"choices": [{"delta": {"content": "so "}}]},
            {"choices": [{"delta": {"content": "it is"}}]},
            {"choices": [], "usage": {}},
        )
        + b"data: [DONE]\n\n",
        events({"choices": [{"text": "so "}]}, {"choices": [{"text": "it is"}]}),
        events(
            {"type": "message_start", "message": {"content": []}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "so "}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "it is"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        ),
        events(
            {"type": "response.created", "response": {"output": []}},
            {"type": "response.output_text.delta", "delta": "so "},
            {"type": "response.output_text.delta", "delta": "it is"},
            {"type": "response.output_text.done", "text": "so it is"},
            {"type": "response.completed", "response": {"output": [{"content": "so it is"}]}},
        ),
        events(
            {"message": {"content": "so "}, "done": False},
            {"message": {"content": "it is"}, "done": True},
            data=b"",
        ),
        events({"response": "so "}, {"response": "it is", "done": True}, data=b""),
    ],
)
def test_a_stream_of_any_dialect_has_its_text(answer):
    assert audit.text_of(answer, streamed=True) == "so it is"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{",
        b"[1]",
        whole(choices=[]),
        whole(choices=[{"message": {"content": None}}]),
        whole(choices=[{"text": "x" * audit.MOST_TEXT}]),
    ],
)
def test_what_has_no_text_or_too_much_of_it_has_none(answer):
    assert audit.text_of(answer, streamed=False) is None


@pytest.mark.parametrize(
    ("judge", "text", "good"),
    [
        (Judge(kind="test", pattern="^[0-9]+$"), "42", True),
        (Judge(kind="test", pattern="^[0-9]+$"), "x42", False),
        (Judge(kind="test", answer="the same"), " the\nsame ", True),
        (Judge(kind="test", answer="the same"), "another", False),
        (Judge(kind="test", schema={"required": ["a"]}), '{"a": 1}', True),
        (Judge(kind="test", schema={"required": ["a"]}), '{"b": 1}', False),
        (Judge(kind="test", schema={"required": ["a"]}), "no JSON", False),
        (Judge(kind="test", pattern="4", answer="42"), "42", True),
        (Judge(kind="test", pattern="4", answer="42"), "24", False),
    ],
)
def test_a_test_passes_or_not(judge, text, good):
    assert audit.passes(judge, text) == float(good)


def test_a_loss_is_the_references_score_minus_the_candidates():
    number = Judge(kind="test", pattern="^[0-9]+$")
    assert audit.loss_of(number, dear="1", cheap="one") == 1.0
    assert audit.loss_of(number, dear="one", cheap="1") == -1.0
    assert audit.loss_of(number, dear="one", cheap="two") == 0.0
    assert audit.loss_of(Judge(), dear="a b", cheap="a  b\n") == 0.0
    assert audit.loss_of(Judge(), dear="a b", cheap="ab") == 1.0


def test_no_pattern_is_searched_for_where_it_might_take_too_long():
    slow = Judge(kind="test", pattern="^(a+)+$")
    assert audit.loss_of(slow, dear="a" * 40 + "b", cheap="a") is None
    anywhere = Judge(kind="test", pattern="[0-9]+$")
    assert audit.loss_of(anywhere, dear="1" * 60_000 + "b", cheap="1") is None
    assert audit.loss_of(anywhere, dear="1" * 900, cheap="b") == 1.0


def test_a_judge_names_the_better_one_in_one_letter():
    assert audit.preferred("A") == 1.0
    assert audit.preferred("The better one is B.") == -1.0
    assert audit.preferred("C") == 0.0
    assert audit.preferred("ABC") is None


def test_a_judge_is_asked_about_the_whole_chat_and_both_answers():
    chat = Chat(model="m", messages=[Message("user", b'"why?"')])
    question = audit.question_of(chat)
    asked = audit.asking("sage", question, first="because", second="so")
    text = bytes(asked.body.messages[1].content).decode()
    assert asked.model == "sage"
    assert text.index("because") < text.index("\\nso")
    assert len(chat.messages) == 1
    assert audit.question_of(Completion(model="m", prompt="why?"))[0].role == "user"
    assert audit.question_of(Completion(model="m", prompt=["why?"])) is None

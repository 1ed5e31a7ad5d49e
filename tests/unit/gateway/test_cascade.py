"""What is found in a first answer, and what an engine is asked to find it."""

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.ids import DeploymentName
from littoral.domain.policy import Cascade
from littoral.gateway import cascade, request
from littoral.gateway.cascade import CHAT, TEXT, Heard
from littoral.gateway.embedding import read_embedding

HI = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
PROMPT = {"model": "m", "prompt": "hi"}


def rule(**fields):
    return Cascade(first=DeploymentName("near"), then=DeploymentName("far"), **fields)


def chat(*logprobs, text="yes", calls=None):
    message = {"role": "assistant", "content": text, "tool_calls": calls}
    tokens = [{"token": "t", "logprob": each, "bytes": None} for each in logprobs]
    choice = {"index": 0, "message": message, "logprobs": {"content": tokens} if tokens else None}
    return json.dumps({"id": "x", "choices": [choice], "usage": {"prompt_tokens": 1}}).encode()


def read(body, of=request.read_chat):
    return of(json.dumps(body).encode())


def test_confidence_is_the_geometric_mean_of_the_tokens_probabilities():
    heard = cascade.hear(chat(math.log(0.9), math.log(0.4)))
    assert heard.confidence == pytest.approx(0.6)
    assert (heard.text, heard.calls) == ("yes", False)
    assert cascade.hear(chat()).confidence is None


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=20))
def test_confidence_is_a_probability_whatever_an_engine_says(logprobs):
    confidence = cascade.hear(chat(*logprobs)).confidence
    assert confidence is not None
    assert 0.0 <= confidence <= 1.0


def test_a_completion_has_its_own_shape():
    told = {"tokens": ["a", "b"], "token_logprobs": [None, math.log(0.5)]}
    body = {"choices": [{"text": "ab", "logprobs": told}]}
    assert cascade.hear(json.dumps(body).encode()) == Heard(
        "ab", calls=False, confidence=pytest.approx(0.5)
    )
    bare = {"choices": [{"text": "ab"}]}
    assert cascade.hear(json.dumps(bare).encode()).confidence is None


@pytest.mark.parametrize(
    "data", [b"[]", b"no", b"{}", b'{"choices":[]}', b'{"choices":[{}]}', b'{"choices":[1]}']
)
def test_what_is_no_answer_cannot_be_judged(data):
    with pytest.raises(ValueError, match="it "):
        cascade.hear(data)


@pytest.mark.parametrize(
    ("fields", "heard", "told"),
    [
        ({"below": 0.6}, Heard("a", calls=False, confidence=0.6), ""),
        ({"below": 0.6}, Heard("a", calls=False, confidence=0.5), "confidence 0.500 below 0.6"),
        ({"below": 0.6}, Heard("a", calls=False, confidence=None), "confidence unknown"),
        ({"answers": ("yes", "no")}, Heard(" yes\n", calls=False, confidence=None), ""),
        (
            {"answers": ("yes",)},
            Heard("Yes", calls=False, confidence=1.0),
            "not one of the answers",
        ),
        ({"answers": ("yes",)}, Heard("", calls=True, confidence=None), ""),
        ({"schema": {"type": "object"}}, Heard("{}", calls=False, confidence=None), ""),
        (
            {"schema": {"type": "object"}},
            Heard("[]", calls=False, confidence=1.0),
            "not of the schema",
        ),
        ({"schema": {}}, Heard("no JSON", calls=False, confidence=1.0), "not of the schema"),
        ({"below": 0.1, "schema": {}}, Heard("1", calls=False, confidence=0.9), ""),
    ],
)
def test_an_answer_is_good_where_it_passes_every_check(fields, heard, told):
    assert cascade.lack(rule(**fields), heard) == told


@pytest.mark.parametrize(
    ("body", "of", "operation", "judged"),
    [
        (HI, request.read_chat, CHAT, True),
        (PROMPT, request.read_completion, TEXT, True),
        (HI | {"stream": True}, request.read_chat, CHAT, False),
        (HI | {"n": 2}, request.read_chat, CHAT, False),
        ({"model": "m", "input": "a"}, read_embedding, 2, False),
    ],
)
def test_only_one_whole_text_is_judged(body, of, operation, judged):
    assert cascade.is_judged(read(body, of), operation) is judged


def test_an_engine_is_asked_for_as_few_log_probabilities_as_there_can_be():
    asked = read(HI)
    body = cascade.asking(asked).body
    assert (body.logprobs, body.top_logprobs) == (True, 1)
    assert asked.body.logprobs is None
    assert cascade.asking(read(PROMPT, request.read_completion)).body.logprobs == 1
    other = read({"model": "m", "input": "a"}, read_embedding)
    assert cascade.asking(other) is other


@pytest.mark.parametrize(("fields", "wanted"), [({"logprobs": True}, True), ({}, False)])
def test_who_asks_for_log_probabilities_gets_them(fields, wanted):
    assert cascade.asks_already(read(HI | fields).body) is wanted


def test_all_but_the_log_probabilities_stays_as_the_engine_wrote_it():
    data = chat(-0.1).replace(b'"usage"', b'"more": 1e400, "usage"')
    choices = cascade.bare(data)
    assert b'"more":1e400' in choices
    told = msgspec.json.decode(choices.replace(b"1e400", b"1"))
    assert told["choices"][0]["logprobs"] is None
    assert told["choices"][0]["message"]["content"] == "yes"
    assert cascade.bare(b'{"choices":[{"text":"a"}]}') == b'{"choices":[{"text":"a"}]}'


@pytest.mark.parametrize("data", [b"", b"[]", b'{"a":1}', b'{"choices":1}'])
def test_nothing_is_left_out_of_what_is_no_answer(data):
    with pytest.raises(ValueError, match="no choices"):
        cascade.bare(data)

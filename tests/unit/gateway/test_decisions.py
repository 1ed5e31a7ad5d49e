"""Questions put to chat models: bodies, ballots, rounds, weights, and the panel that asks."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.gateway import ballot, decision, moderation
from littoral.gateway.ballot import Weights
from littoral.gateway.poll import MOST, Poll
from littoral.gateway.refusal import Refusal
from littoral.gateway.wire.panel import AT_ONCE

PREDICATE = {"type": "predicate", "instructions": "It is blue."}
CHOICE = {"type": "choice", "instructions": "Which?", "choices": [{"value": "a"}, {"value": True}]}
SCORE = {"type": "score", "instructions": "How?", "levels": [{"label": "low"}, {"label": "high"}]}
GOOD = {"model": "m", "input": "The sea.", "questions": [PREDICATE]}
JUDGED = {"model": "m", "input": "hello"}


def read(**change):
    return decision.read(json.dumps(GOOD | change).encode())


def judge(**change):
    return moderation.read(json.dumps(JUDGED | change).encode())


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"role": "nobody", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, None),
        ({"input": [{"role": "user", "content": [{"type": "input_json"}]}]}, "input"),
        ({"questions": []}, "questions"),
        ({"questions": [PREDICATE] * 401}, "questions"),
        ({"questions": [PREDICATE | {"type": "essay"}]}, "questions[0].type"),
        ({"questions": [PREDICATE | {"instructions": ""}]}, "questions[0].instructions"),
        ({"questions": [PREDICATE | {"levels": SCORE["levels"]}]}, "questions[0].levels"),
        ({"questions": [CHOICE | {"choices": None}]}, "questions[0].choices"),
        ({"questions": [CHOICE | {"choices": [{"value": "a"}] * 2}]}, "questions[0].choices"),
        ({"questions": [CHOICE | {"choices": [{"value": "a"}]}]}, "questions[0].choices"),
        (
            {"questions": [CHOICE | {"choices": [{"value": 1}] * 2}]},
            "questions[0].choices[0].value",
        ),
        ({"questions": [SCORE | {"levels": [{"label": ""}] * 2}]}, "questions[0].levels[0].label"),
    ],
)
def test_a_wrong_field_is_named(change, param):
    refusal = read(**change)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400
    assert refusal.param == param or param is None


def test_a_choice_of_true_differs_from_the_word():
    choices = [{"value": "true"}, {"value": True}]
    assert not isinstance(read(questions=[CHOICE | {"choices": choices}]), Refusal)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a"] * 33}, "input"),
        ({"input": ["a", {"type": "text", "text": "b"}]}, "input"),
        ({"input": [{"type": "text"}]}, "input[0]"),
        ({"input": [{"type": "image_url", "text": "b"}]}, "input[0]"),
        ({"model": ""}, "model"),
    ],
)
def test_a_wrong_field_of_a_moderation_is_named(change, param):
    refusal = judge(**change)
    assert (refusal.status, refusal.param) == (400, param)


def test_without_a_model_a_moderation_asks_for_the_usual_one():
    assert moderation.read(b'{"input":"x"}').model == "omni-moderation-latest"


@given(st.binary(max_size=200))
def test_no_bytes_make_a_reader_fail(data):
    for reader in (decision.read, moderation.read):
        assert reader(data).status == 400


def reply(text, *alternatives, refusal=None, cut=3):
    """An engine's answer whose tokens have ``cut`` letters; alternatives stand at each of them."""
    tokens = [
        {
            "token": text[at : at + cut],
            "logprob": math.log(0.5),
            "top_logprobs": [{"token": t, "logprob": math.log(p)} for t, p in alternatives],
        }
        for at in range(0, len(text), cut)
    ]
    message = {"content": None if refusal else text, "refusal": refusal}
    usage = {"prompt_tokens": 7, "completion_tokens": 2}
    choice = {"message": message, "logprobs": {"content": tokens}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


def weigh(text, at, labels, *alternatives, cut=3):
    return ballot.weigh(ballot.read(reply(text, *alternatives, cut=cut)), at, labels)


def test_labels_are_weighed_by_the_alternatives_of_their_token():
    text = '{"answer":"A"}'
    at = text.index("A")
    found = weigh(text, at, ("A", "B", "C"), ("B", 0.25), ("word", 0.1), cut=1)
    assert found.each == pytest.approx([2 / 3, 1 / 3, 0])
    assert found.mass == pytest.approx(0.75)


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_label_is_found_in_whatever_token_holds_it(cut):
    text = '{"answer": "yes"}'
    found = weigh(text, text.index("yes"), ("yes", "no"), cut=cut)
    assert found.each == pytest.approx([0.5, 0.5])


def test_a_token_that_begins_with_what_is_before_the_label_is_understood():
    text = '{"answer":"A"}'
    found = weigh(text, text.index("A"), ("A", "B"), ('":"B"', 0.5), ('"B', 0.25), cut=20)
    assert found.mass == pytest.approx(1.0)
    assert found.each[1] > 0


def test_where_nothing_stands_nothing_is_weighed():
    assert weigh('{"answer":"A"}', 99, ("A", "B")) is None
    assert weigh('{"answer":"Z"}', 11, ("A", "B"), cut=1) is None


def spread(*each):
    total = sum(each)
    return Weights([p / total for p in each], 1.0)


@given(st.integers(2, 255), st.data())
def test_every_option_gets_a_weight_and_all_sum_to_one(count, data):
    poll, asked = Poll(count), []
    while not poll.complete:
        options = poll.next()
        assert options is not None
        assert 1 <= len(options) <= MOST
        asked.append(options)
        each = data.draw(st.lists(st.floats(0.01, 1), min_size=len(options), max_size=len(options)))
        poll.hear(options, spread(*each))
    assert len(poll.result.each) == count
    assert math.fsum(poll.result.each) == pytest.approx(1.0)
    assert len(asked) == (1 if count <= MOST else -(-count // MOST) + 1)


def test_a_poll_that_was_declined_asks_no_more():
    poll = Poll(100)
    poll.hear(poll.next(), None)
    assert (poll.complete, poll.result, poll.next()) == (True, None, None)
    poll.hear(range(20), spread(*[1] * 20))
    assert poll.result is None


def decide(asked, *replies):
    """Play the engine: answer chat after chat, then return what is told and what was asked."""
    deciding, chats, answers = decision.Deciding(asked), [], list(replies)
    while not deciding.complete:
        number, chat, size = deciding.next()
        assert size > 0
        chats.append(json.loads(json.dumps({"messages": texts_of(chat.body.messages)})))
        deciding.hear(number, answers.pop(0))
    return json.loads(deciding.answer("r")), chats


def texts_of(messages):
    return [(message.role, json.loads(bytes(message.content))) for message in messages]


def test_each_kind_of_question_has_its_answer():
    asked = read(questions=[PREDICATE | {"name": "p"}, CHOICE, SCORE, PREDICATE])
    told, chats = decide(
        asked,
        reply('{"answer":"no"}', ("yes", 0.25), cut=1),
        reply('{"answer":"B"}', ("A", 0.1), cut=1),
        reply('{"answer":"B"}', ("A", 0.5), cut=1),
        reply("", refusal="I will not"),
    )
    predicate, choice, score, refused = told["answers"]
    assert predicate == {"type": "predicate", "probability": pytest.approx(1 / 3), "name": "p"}
    assert choice["choice"] is True
    assert choice["confidence"] == pytest.approx(0.5)
    assert choice["probabilities"][0] == {"value": "a", "probability": pytest.approx(1 / 6)}
    assert score["score"] == pytest.approx(0.5)
    assert score["probabilities"][1]["label"] == "high"
    assert refused == {"type": "refusal", "name": None}
    assert told["usage"]["input_tokens"] == 28
    assert told["usage"]["total_tokens"] == 36
    role, text = chats[1]["messages"][0]
    assert role == "user"
    assert text.startswith("The sea.\n\n")
    assert "A: a\nB: true" in text


def test_what_is_no_label_is_a_refusal():
    told, _ = decide(read(), reply('{"answer":"maybe"}'))
    assert told["answers"] == [{"type": "refusal", "name": None}]


def test_many_choices_are_asked_in_rounds():
    choices = [{"value": f"v{n}"} for n in range(25)]
    asked = read(questions=[CHOICE | {"choices": choices}])
    one = reply('{"answer":"A"}', ("B", 0.5), cut=1)
    told, chats = decide(asked, one, reply('{"answer":"B"}', ("A", 0.5), cut=1), one)
    assert len(chats) == 3
    (answer,) = told["answers"]
    assert len(answer["probabilities"]) == 25
    assert "A: v0\nB: v13" in chats[2]["messages"][0][1]


def test_a_conversation_keeps_its_turns_and_json_is_text():
    items = [
        {"role": "user", "content": [{"type": "input_json", "data": {"a": [1]}}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "done"},
    ]
    parts = [
        {"type": "input_text", "text": "Is it so?"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
        {"type": "input_json", "data": {"b": 2}},
    ]
    asked = read(input=items, questions=[PREDICATE | {"instructions": parts}])
    _, chats = decide(asked, reply('{"answer":"yes"}'))
    roles = [role for role, _ in chats[0]["messages"]]
    assert roles == ["user", "assistant", "tool", "user"]
    assert chats[0]["messages"][0][1] == '{"a": [1]}'
    image, text = chats[0]["messages"][3][1]
    assert image["type"] == "image_url"
    assert 'Is it so?\n{"b": 2}' in text["text"]


def test_a_moderation_by_a_chat_model_scores_each_category():
    judging = moderation.Judging(judge(input=["a", "b"]))
    said = {name: name == "hate" for name in moderation.CATEGORIES}
    text = json.dumps(said)
    for _ in range(2):
        number, _, _ = judging.next()
        judging.hear(number, reply(text, ("true", 0.0001), cut=1))
    assert judging.next() is None
    assert judging.complete
    told = json.loads(judging.answer("r"))
    assert told["id"] == "modr-r"
    first = told["results"][0]
    assert first["categories"]["hate"]
    assert not first["categories"]["hate/threatening"]
    assert first["flagged"]


def test_a_model_that_declines_to_judge_flags_everything():
    judging = moderation.Judging(judge())
    number, _, _ = judging.next()
    judging.hear(number, reply("", refusal="no"))
    assert all(json.loads(judging.answer("r"))["results"][0]["categories"].values())


def test_a_judgement_that_leaves_a_category_out_is_the_engines_fault():
    judging = moderation.Judging(judge())
    number, _, _ = judging.next()
    with pytest.raises(ValueError, match="does not judge"):
        judging.hear(number, reply('{"hate": true}'))


def test_parts_of_one_input_are_one_chat_with_its_images():
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
    ]
    judging = moderation.Judging(judge(input=parts))
    _, chat, _ = judging.next()
    assert judging.next() is None
    ((_, content),) = texts_of(chat.body.messages)
    assert [each["type"] for each in content] == ["text", "image_url", "text"]


CAN = ("chat", "json_schema", "logprobs")


def begin(rig, body, *, path="/v1/decisions", able=CAN):
    rig.endpoints(rig.endpoint(1, capabilities=able, slots=64))
    return rig.ask(rig.post(json.dumps(body).encode(), path=path))


def test_a_panel_asks_few_at_one_time_and_answers_once(rig, kit):
    body = GOOD | {"questions": [PREDICATE] * (AT_ONCE + 3)}
    _, transport, _ = begin(rig, body)
    engines = rig.loop.dialled
    assert len(engines) == AT_ONCE
    answered = 0
    while answered < AT_ONCE + 3:
        assert not transport.data
        engines[answered % AT_ONCE].protocol.data_received(
            kit.answer(reply('{"answer":"yes"}'), extra="")
        )
        rig.loop.run()
        answered += 1
    assert transport.data.startswith(b"HTTP/1.1 200")
    told = json.loads(transport.data.partition(b"\r\n\r\n")[2])
    assert len(told["answers"]) == AT_ONCE + 3
    assert len(rig.records()) == AT_ONCE + 3
    assert rig.leaks() == (0, 0, 0)


def test_one_chat_that_is_refused_refuses_all_and_stops_the_others(rig, kit):
    _, transport, _ = begin(rig, GOOD | {"questions": [PREDICATE] * 3})
    first, second, third = rig.loop.dialled
    first.protocol.data_received(kit.answer(b'{"error":"no"}', status="400 Bad Request"))
    assert transport.data.startswith(b"HTTP/1.1 400")
    assert second.closed
    assert third.closed
    assert rig.leaks() == (0, 0, 0)


def test_a_client_that_leaves_stops_every_chat(rig):
    client, _, _ = begin(rig, GOOD | {"questions": [PREDICATE] * 3})
    client.connection_lost(None)
    assert all(engine.closed for engine in rig.loop.dialled)
    assert rig.leaks() == (0, 0, 0)


def test_a_panel_out_of_time_says_so(rig):
    client, transport, _ = begin(rig, GOOD)
    client.answering.throttle(stop=True)
    client.expire(0.0)
    assert transport.data.startswith(b"HTTP/1.1 504")
    assert rig.leaks() == (0, 0, 0)


def test_an_answer_that_is_no_use_is_the_engines_fault(rig, kit):
    _, transport, engine = begin(rig, GOOD)
    engine.protocol.data_received(kit.answer(b'{"choices":[]}'))
    assert transport.data.startswith(b"HTTP/1.1 502")
    assert rig.leaks() == (0, 0, 0)


def test_a_model_without_what_it_takes_is_refused_at_once(rig):
    _, transport, engine = begin(rig, GOOD, able=("chat",))
    assert engine is None
    assert transport.data.startswith(b"HTTP/1.1 422")
    assert b"json_schema, logprobs" in transport.data
    assert rig.leaks() == (0, 0, 0)


def test_an_unknown_model_is_not_found(rig):
    assert begin(rig, GOOD | {"model": "x"})[1].data.startswith(b"HTTP/1.1 404")
    assert begin(rig, {"model": "x"})[1].data.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("able", "asked"),
    [
        (("moderations", *CAN), b"POST /v1/moderations "),
        (CAN, b"POST /v1/chat/completions "),
    ],
)
def test_a_moderation_goes_to_an_engine_made_for_it_else_to_a_chat(rig, able, asked):
    _, _, engine = begin(rig, JUDGED, path="/v1/moderations", able=able)
    assert engine.data.startswith(asked)


def test_a_model_that_can_neither_says_that_it_cannot_moderate(rig):
    _, transport, _ = begin(rig, JUDGED, path="/v1/moderations", able=("chat",))
    assert b"1 lack moderations" in transport.data


def test_a_moderation_by_an_engine_ends_as_any_exchange_does(rig, kit):
    able = ("moderations",)
    client, transport, engine = begin(rig, JUDGED, path="/v1/moderations", able=able)
    client.answering.throttle(stop=True)
    assert engine.paused
    client.expire(0.0)
    assert transport.data.startswith(b"HTTP/1.1 504")
    client, transport, engine = begin(rig, JUDGED, path="/v1/moderations", able=able)
    client.connection_lost(None)
    assert engine.closed
    client, transport, engine = begin(rig, JUDGED, path="/v1/moderations", able=able)
    engine.protocol.data_received(kit.answer(b'{"results":[]}'))
    assert transport.data.endswith(b'{"results":[]}')
    assert rig.leaks() == (0, 0, 0)

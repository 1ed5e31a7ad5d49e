"""The cache and the brown-out, as a client meets them."""

import json
import re

import pytest

from littoral.domain.deployment import Assignment
from littoral.domain.ids import DeploymentName, NodeId, ProjectId
from littoral.domain.project import KeyGrant
from littoral.domain.snapshot import Snapshot
from littoral.domain.traffic import BrownoutPolicy, CachePolicy, TrafficGrant
from littoral.domain.units import Micros
from littoral.trust.key import mac_of, mint


def body(text="hi", **fields):
    given = {"model": "m", "messages": [{"role": "user", "content": text}], "temperature": 0}
    return json.dumps(given | fields).encode()


def other_key(project="q"):
    minted = mint(b"q" * 48)
    mac = mac_of(minted.digest, pepper=b"p" * 32)
    grant = KeyGrant(id=minted.id, mac=mac, project=ProjectId(project), scopes=("infer",))
    return minted.text, grant


def settings(rig, *extra_keys, revision=1, names=("m",), projects=("p",), **fields):
    traffic = tuple(TrafficGrant(project=ProjectId(name), **fields) for name in projects)
    assignments = tuple(
        Assignment(
            name=DeploymentName(n), revision=revision, serves=n, engine="fake", model=n
        )
        for n in names
    )  # fmt: skip
    rig.worker.source.take_snapshot(
        Snapshot(
            epoch=1, version=2, issued_us=Micros(1), node=NodeId("nd"), pepper=b"p" * 32,
            keys=(rig.grant, *extra_keys), assignments=assignments, traffic=traffic,
        ),
        {},
    )  # fmt: skip


def sent(rig):
    """How many requests the engines were sent."""
    return sum(t.data.count(b"POST") for t in rig.loop.dialled)


def ask(rig, kit, raw, *, reply=None):
    """What a client gets, and whether an engine was asked for it."""
    before = sent(rig)
    _, transport, _ = rig.ask(raw)
    asked = sent(rig) > before
    if asked:
        (engine,) = [t for t in rig.loop.dialled if t.protocol.owner is not None]
        engine.protocol.data_received(reply or kit.answer())
        rig.loop.run()
    records = rig.records()
    rig.book()
    return transport.data, asked, records[-1].record if records else None


@pytest.fixture
def cached(rig):
    settings(rig, cache=CachePolicy(ttl_s=60.0), projects=("p", "q"))
    return rig


def test_the_same_question_is_answered_once_and_booked_twice(cached, kit):
    first, asked, record = ask(cached, kit, cached.post(body()))
    assert asked
    assert b"x-littoral-cache: miss\r\n" in first
    assert record.cost > 0
    again, asked, record = ask(cached, kit, cached.post(body()))
    assert not asked
    assert b"x-littoral-cache: hit\r\n" in again
    assert b"x-littoral-route: here/cache; cached\r\n" in again
    assert b"x-littoral-cost: 0.000000000\r\n" in again
    assert first.partition(b"\r\n\r\n")[2] == again.partition(b"\r\n\r\n")[2] == kit.reply
    assert (record.endpoint, record.cost, record.tokens_in, record.tokens_cached) == (
        "cache",
        0,
        7,
        7,
    )
    assert cached.leaks() == (0, 0, 0)


def test_a_stream_is_given_again_as_a_stream(cached, kit):
    raw = cached.post(body(stream=True))
    stream = kit.chunk(kit.event("a") + kit.event("b"))
    reply = kit.stream_head + stream + kit.chunk(kit.usage + kit.done) + b"0\r\n\r\n"
    first, _, _ = ask(cached, kit, raw, reply=reply)
    again, asked, record = ask(cached, kit, raw)
    assert not asked
    assert kit.unchunked(again)[1:] == kit.unchunked(first)[1:]
    assert kit.unchunked(again)[2]
    assert (record.streamed, record.tokens_out) == (True, 3)
    _, asked, _ = ask(cached, kit, cached.post(body()))
    assert asked


def test_two_paths_that_answer_in_different_shapes_share_no_answer(cached, kit):
    cached.endpoints(cached.endpoint(1, capabilities=("rerank",)))
    settings(cached, cache=CachePolicy(), projects=("p",))
    given = json.dumps({"model": "m", "query": "q", "documents": ["a"]}).encode()
    reply = kit.answer(b'{"results":[{"index":0,"relevance_score":0.5}]}')
    first, _, _ = ask(cached, kit, cached.post(given, path="/v1/rerank"), reply=reply)
    assert b'"object":"list"' in first
    second, asked, _ = ask(cached, kit, cached.post(given, path="/v2/rerank"), reply=reply)
    assert asked
    assert b'"billed_units"' in second
    assert not ask(cached, kit, cached.post(given, path="/v2/rerank"))[1]


def test_another_project_never_gets_the_answer(cached, kit):
    text, grant = other_key()
    settings(cached, grant, cache=CachePolicy(), projects=("p", "q"))
    ask(cached, kit, cached.post(body()))
    assert ask(cached, kit, cached.post(body(), key=text))[1]
    assert not ask(cached, kit, cached.post(body(), key=text))[1]


def test_an_answer_ends_with_its_time_and_with_the_revision_of_what_served_it(cached, kit):
    ask(cached, kit, cached.post(body()))
    cached.clock.advance(61.0)
    assert ask(cached, kit, cached.post(body()))[1]
    settings(cached, cache=CachePolicy(ttl_s=60.0), revision=2)
    assert ask(cached, kit, cached.post(body()))[1]
    assert not ask(cached, kit, cached.post(body()))[1]


@pytest.mark.parametrize(
    ("fields", "extra", "hit"),
    [
        ({"temperature": 0}, "", True),
        ({"temperature": 0.7}, "", False),
        ({"temperature": 0.7, "seed": 3}, "", True),
        ({"temperature": 0.7}, "X-Littoral-Cache: on\r\n", True),
        ({"temperature": 0}, "Cache-Control: No-Store\r\n", False),
        ({"temperature": 0}, "Cache-Control: no-cache\r\n", False),
    ],
)
def test_what_takes_part_is_said_by_the_request(cached, kit, fields, extra, hit):
    raw = cached.post(body(**fields), extra=extra)
    ask(cached, kit, raw)
    assert ask(cached, kit, raw)[1] is not hit


def test_an_answer_that_was_asked_for_anew_is_kept(cached, kit):
    ask(cached, kit, cached.post(body(), extra="Cache-Control: no-cache\r\n"))
    assert not ask(cached, kit, cached.post(body()))[1]


def test_a_project_may_keep_every_answer(rig, kit):
    settings(rig, cache=CachePolicy(every=True))
    raw = rig.post(body(temperature=1.5))
    ask(rig, kit, raw)
    assert not ask(rig, kit, raw)[1]


def test_without_the_setting_nothing_is_kept(rig, kit):
    raw = rig.post(body())
    data, _, _ = ask(rig, kit, raw)
    assert b"x-littoral-cache" not in data
    assert ask(rig, kit, raw)[1]


def test_failures_are_not_kept(cached, kit):
    raw = cached.post(body())
    data, _, _ = ask(cached, kit, raw, reply=kit.answer(b"{}", status="400 Bad"))
    assert b" 400 " in data
    assert ask(cached, kit, raw)[1]


def test_a_wrong_wish_is_refused_with_what_is_allowed(cached):
    _, transport, _ = cached.ask(cached.post(body(), extra="X-Littoral-Cache: maybe\r\n"))
    assert b"x-littoral-cache must be on or off" in transport.data


def test_a_request_with_another_field_is_another_question(cached, kit):
    ask(cached, kit, cached.post(body()))
    for fields in ({"max_tokens": 5}, {"top_p": 0.5}, {"stop": "x"}):
        assert ask(cached, kit, cached.post(body(**fields)))[1]


# brown-out


def dim(rig, rungs):
    """Put the project's ladder at a rung."""
    traffic = rig.worker.source.traffic["m"]
    traffic.rung("p", 2.0)
    traffic.ladders["p"][0].rung = rungs


def engine_body(rig):
    (engine,) = [t for t in rig.loop.dialled if t.protocol.owner is not None]
    return json.loads(engine.data.rpartition(b"\r\n\r\n")[2])


def test_pressure_climbs_the_ladder_and_its_absence_descends_it(make):
    rig = make()
    rig.endpoints(rig.endpoint(1, slots=1))
    settings(rig, brownout=BrownoutPolicy(after_s=0.5, shorter=16))
    for number in range(4):
        rig.ask(rig.post(body(str(number))))
    for _ in range(12):
        rig.clock.advance(0.1)
        rig.worker.tick()
    assert rig.worker.source.traffic["m"].ladders["p"][0].rung == 1
    for client in list(rig.worker.clients):
        client.connection_lost(None)
    for _ in range(60):
        rig.clock.advance(0.1)
        rig.worker.tick()
    assert rig.worker.source.traffic["m"].ladders["p"][0].rung == 0


def test_answers_get_shorter_first_and_say_so(rig, kit):
    settings(rig, brownout=BrownoutPolicy(shorter=16, smaller="tiny"))
    dim(rig, 1)
    _, transport, engine = rig.ask(rig.post(body(max_tokens=400)))
    assert engine_body(rig)["max_tokens"] == 16
    engine.protocol.data_received(kit.answer())
    assert b"x-littoral-brownout: shorter\r\n" in transport.data


def test_then_a_smaller_model_answers_where_it_may(rig, kit):
    settings(rig, names=("m", "tiny"), brownout=BrownoutPolicy(smaller="tiny"))
    rig.endpoints(rig.endpoint(1), rig.endpoint(2, serves="tiny", engine_model="t"))
    dim(rig, 2)
    _, transport, engine = rig.ask(rig.post(body()))
    assert engine_body(rig)["model"] == "t"
    engine.protocol.data_received(kit.answer())
    assert b"x-littoral-brownout: smaller\r\n" in transport.data


def test_a_smaller_model_that_cannot_do_it_is_left_out(rig, kit):
    settings(rig, names=("m", "tiny"), brownout=BrownoutPolicy(smaller="tiny"))
    rig.endpoints(rig.endpoint(1), rig.endpoint(2, serves="tiny", capabilities=("completions",)))
    dim(rig, 2)
    _, transport, engine = rig.ask(rig.post(body()))
    engine.protocol.data_received(kit.answer())
    assert engine.port == 1
    assert b"x-littoral-brownout" not in transport.data


def test_then_an_old_answer_will_do(rig, kit):
    settings(rig, cache=CachePolicy(ttl_s=60.0), brownout=BrownoutPolicy(cached=True))
    ask(rig, kit, rig.post(body()))
    rig.clock.advance(3600.0)
    dim(rig, 3)
    data, asked, _ = ask(rig, kit, rig.post(body()))
    assert not asked
    assert b"x-littoral-brownout: cached\r\n" in data
    dim(rig, 2)
    assert ask(rig, kit, rig.post(body()))[1]


def test_last_what_is_not_interactive_is_refused(rig, kit):
    settings(rig, priority="interactive", brownout=BrownoutPolicy(refuse=True))
    dim(rig, 4)
    data, asked, _ = ask(rig, kit, rig.post(body()))
    assert not asked
    assert b'"code":"overloaded"' in data
    urgent = rig.post(body(), extra="X-Littoral-Priority: interactive\r\n")
    assert ask(rig, kit, urgent)[1]


@pytest.mark.parametrize(("store", "hit"), [(False, True), (True, False)])
def test_a_response_that_is_to_be_stored_is_never_anothers(cached, kit, store, hit):
    node = kit.node(cached)
    wish = {"model": "m", "input": "hi", "temperature": 0, "store": store}
    raw = cached.post(json.dumps(wish).encode(), path="/v1/responses")
    asked = []
    for _ in range(2):
        before = sent(cached)
        cached.ask(raw)
        asked.append(sent(cached) > before)
        for engine in [t for t in cached.loop.dialled if t.protocol.owner is not None]:
            engine.protocol.data_received(kit.answer(kit.said()))
        if store:
            node.answer()
        cached.loop.run()
        cached.book()
    assert asked == [True, not hit]
    assert len({keep.response.id for keep in node.asked}) == (2 if store else 0)


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_from_the_cache_has_an_id_of_its_own(cached, kit, path, stream):
    fields = {"input": "hi"} if path == "/v1/responses" else {"max_tokens": 9}
    raw = cached.post(body(stream=stream, **fields), path=path)
    reply = kit.answer(kit.said())
    if stream:
        pieces = kit.chunk(kit.event("a")) + kit.chunk(kit.usage + kit.done)
        reply = kit.stream_head + pieces + b"0\r\n\r\n"
    answers = [ask(cached, kit, raw, reply=reply)[0] for _ in range(3)]
    assert [b"x-littoral-cache: hit" in each for each in answers] == [False, True, True]
    names = [re.search(rb"x-request-id: req_(\w+)", each)[1] for each in answers]
    assert len(set(names)) == 3
    for name, each in zip(names, answers, strict=True):
        found = set(re.findall(rb'"id":"(?:resp|msg)_([a-z0-9]+)', each))
        assert found == {name}

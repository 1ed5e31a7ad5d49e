"""What a gateway refuses, and what it serves, while usage cannot be recorded."""

import pytest

from crossing import Pair
from littoral.app.codec import pack, unpack
from littoral.domain.limits import Budget, Limits
from littoral.domain.session import Recording
from littoral.domain.traffic import CachePolicy

FULL, UNMETERED = Recording(full=True), Recording(full=True, unmetered=True)
RICH = Limits(budget=Budget(amount=1.0, period="day"))


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_what_would_have_to_be_recorded_is_refused_and_told_when_to_try_again(rig, kit, path):
    rig.worker.recording = FULL
    body = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}'
    _, transport, _ = rig.ask(rig.post(body, path=path))
    assert rig.loop.dialled == []
    assert kit.status_of(transport) == 503
    assert (b"ledger_full" in transport.data) is (path == "/v1/chat/completions")
    assert b"retry-after: 30\r\n" in transport.data
    rig.worker.recording = Recording()
    _, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    assert kit.status_of(transport) == 200


@pytest.mark.parametrize("who", ["project:p", "model:m"])
def test_where_it_is_allowed_only_what_has_a_budget_is_refused(make, kit, who):
    rig = make(1, limits={who: RICH})
    rig.worker.recording = UNMETERED
    assert kit.status_of(rig.ask()[1]) == 503
    free = make(1, limits={who: Limits(requests_per_minute=9)})
    free.worker.recording = UNMETERED
    _, transport, engine = free.ask()
    engine.protocol.data_received(kit.answer())
    assert kit.status_of(transport) == 200


def test_no_slot_is_lost_to_what_was_refused(rig):
    idle = rig.worker.flights.idle
    rig.worker.recording = FULL
    for _ in range(3):
        rig.ask()
    assert rig.worker.flights.idle == idle


def test_who_waits_in_line_is_refused_when_its_turn_comes(make, kit):
    rig = make()
    rig.endpoints(rig.endpoint(1, slots=1))
    asked = [rig.ask() for _ in range(3)]
    assert asked[-1][1].data == b""
    rig.worker.recording = FULL
    asked[0][2].protocol.data_received(kit.answer())
    rig.loop.run()
    assert kit.status_of(asked[-1][1]) == 503


def test_an_answer_that_is_kept_would_have_to_be_recorded_too(rig, kit):
    rig.share(cache=CachePolicy(ttl_s=60))
    body = b'{"model":"m","temperature":0,"messages":[{"role":"user","content":"hi"}]}'
    _, _, engine = rig.ask(rig.post(body))
    engine.protocol.data_received(kit.answer())
    assert b"x-littoral-cache: hit" in rig.ask(rig.post(body))[1].data
    rig.worker.recording = FULL
    assert kit.status_of(rig.ask(rig.post(body))[1]) == 503


def test_the_call_of_another_node_is_served_for_that_one_records_it(make, kit):
    pair = Pair(make(1), make(9))
    pair.b.worker.recording = FULL
    _, transport, _ = pair.ask()
    busy = [each for each in pair.b.loop.dialled if each.protocol.owner is not None]
    busy[-1].protocol.data_received(kit.answer(kit.said("yes")))
    pair.run()
    assert kit.status_of(transport) == 200


def test_the_node_tells_its_gateways_over_their_link():
    assert unpack(pack(UNMETERED)) == UNMETERED

"""Places that fail are left alone, external APIs spared, and beginnings go where they were."""

import json

import pytest

LONG = json.dumps(
    {"model": "m", "messages": [{"role": "user", "content": "x" * 2000}], "max_tokens": 5}
).encode()


@pytest.fixture
def pair(make):
    """Two endpoints; the first one is always preferred."""
    rig = make()
    rig.endpoints(rig.endpoint(1), rig.endpoint(2, price_in=9.0, price_out=9.0))
    return rig


def sent(rig, act):
    """What ``act`` returns, and the engine's transport that got a request by it, if any."""
    before = {id(t): t.data.count(b"POST") for t in rig.loop.dialled}
    found = act()
    rig.loop.run()
    engines = [t for t in rig.loop.dialled if t.data.count(b"POST") > before.get(id(t), 0)]
    return found, engines[0] if engines else None


def ask(rig, raw=None):
    """A client, its transport, and the engine's transport that got the request."""
    (client, transport, _), engine = sent(rig, lambda: rig.ask(raw))
    return client, transport, engine


def fail(rig, kit, times, *, status="500 Broken"):
    """Requests whose engine answers with an error, and which another one answers then."""
    for _ in range(times):
        rig.worker.source.tables.models["m"].retries.left = 5.0
        _, _, engine = ask(rig)
        bad = kit.answer(b"{}", status=status)
        _, other = sent(rig, lambda at=engine, data=bad: at.protocol.data_received(data))
        if other is not None:
            other.protocol.data_received(kit.answer())
        rig.loop.run()
        rig.book()


def port_of_next(rig, kit, raw=None):
    """Where a request goes that is answered."""
    _, transport, engine = ask(rig, raw)
    engine.protocol.data_received(kit.answer())
    rig.loop.run()
    rig.book()
    assert b"200 OK" in transport.data
    return engine.port


def tick(rig, seconds):
    for _ in range(round(seconds * 10)):
        rig.clock.advance(0.1)
        rig.worker.tick()
    rig.loop.run()


def test_an_endpoint_that_keeps_failing_is_left_alone_then_probed_once(pair, kit):
    fail(pair, kit, 20)
    assert port_of_next(pair, kit) == 2
    tick(pair, 4.9)
    assert port_of_next(pair, kit) == 2
    tick(pair, 0.2)
    _, probe, engine = ask(pair)
    assert engine.port == 1
    assert port_of_next(pair, kit) == 2  # while the probe is under way
    engine.protocol.data_received(kit.answer())
    assert b"200 OK" in probe.data
    assert port_of_next(pair, kit) == 1


def test_a_probe_that_fails_doubles_the_pause(pair, kit):
    fail(pair, kit, 20)
    tick(pair, 5.1)
    fail(pair, kit, 1)
    tick(pair, 9.8)
    assert port_of_next(pair, kit) == 2
    tick(pair, 0.4)
    assert port_of_next(pair, kit) == 1


def test_a_probe_whose_client_leaves_lets_another_go(pair, kit):
    fail(pair, kit, 20)
    tick(pair, 5.1)
    client, _, engine = ask(pair)
    assert engine.port == 1
    client.connection_lost(None)
    tick(pair, 0.1)
    assert port_of_next(pair, kit) == 1


def test_a_probe_that_meets_a_busy_engine_lets_another_go(pair, kit):
    fail(pair, kit, 20)
    tick(pair, 5.1)
    fail(pair, kit, 1, status="429 Too Many")
    tick(pair, 0.1)
    assert port_of_next(pair, kit) == 1


def test_new_coefficients_do_not_bring_an_ejected_endpoint_back(pair, kit):
    fail(pair, kit, 20)
    pair.worker.source.take_folds(())
    assert port_of_next(pair, kit) == 2


def test_connections_that_cannot_be_made_open_it_after_five(pair, kit):
    pair.loop.refusing.add(1)
    for _ in range(5):
        pair.worker.source.tables.models["m"].retries.left = 5.0
        assert port_of_next(pair, kit) == 2
    pair.loop.refusing.clear()
    assert port_of_next(pair, kit) == 2


def test_the_only_endpoint_of_a_model_is_never_left_alone(rig, kit):
    for _ in range(30):
        _, transport, engine = ask(rig)
        engine.protocol.data_received(kit.answer(b"{}", status="500 Broken"))
        rig.loop.run()
        rig.book()
        assert b"502" in transport.data
    assert port_of_next(rig, kit) == 1


def test_a_refused_request_and_a_busy_engine_are_no_failures_of_the_endpoint(pair, kit):
    for status in ("400 Bad Request", "429 Too Many"):
        fail(pair, kit, 30, status=status)
        assert port_of_next(pair, kit) == 1


def test_silence_is_the_endpoints_failure_and_a_short_deadline_is_not(pair):
    place = next(iter(pair.worker.source.places()))
    for extra, calls in (("", 1), ("X-Littoral-Deadline-Ms: 1000\r\n", 1)):
        client, _, _ = pair.ask(pair.post(extra=extra))
        pair.clock.advance(601.0)
        pair.worker.tick()
        client.expire(pair.clock.now())
        pair.book()
        assert place.breaker.calls == calls


def test_an_external_api_that_refuses_most_requests_is_spared(make, kit):
    rig = make()
    rig.endpoints(rig.endpoint(1, remote=True))
    spared = 0
    for _ in range(60):
        _, transport, engine = ask(rig)
        if engine is None:
            spared += 1
            assert b"refuses most of what it is sent" in transport.data
            assert b"retry-after" in transport.data
        else:
            engine.protocol.data_received(kit.answer(b"{}", status="429 Too Many"))
            rig.loop.run()
        rig.book()
    assert spared > 30
    assert rig.worker.counters["throttled"] == spared


def test_who_would_go_to_a_spared_api_goes_elsewhere_where_it_can(make, kit):
    rig = make()
    cheap = rig.endpoint(1, remote=True, price_in=0.1, price_out=0.1)
    rig.endpoints(cheap, rig.endpoint(2))
    place = next(p for p in rig.worker.source.places() if p.endpoint.remote)
    for _ in range(100):
        place.throttle.outcome(rig.clock.now(), taken=False)
    ports = [port_of_next(rig, kit) for _ in range(20)]
    assert ports.count(2) >= 17
    assert place.throttle.taken == ports.count(1)


def test_a_long_beginning_goes_where_it_was_served_before(make, kit):
    rig = make()
    rig.endpoints(rig.endpoint(1), rig.endpoint(2))
    busy = [rig.ask()[0]]  # company at the first endpoint
    assert port_of_next(rig, kit, rig.post(LONG)) == 2
    for client in busy:
        client.connection_lost(None)
    rig.loop.run()
    assert port_of_next(rig, kit) == 1
    _, transport, engine = ask(rig, rig.post(LONG))
    assert engine.port == 2
    engine.protocol.data_received(kit.answer())
    assert b"x-littoral-route: here/e2; warm\r\n" in transport.data
    other = LONG.replace(b"xxx", b"yyy", 1)
    assert port_of_next(rig, kit, rig.post(other)) == 1


def test_a_warm_place_without_a_free_slot_loses(make, kit):
    rig = make()
    rig.endpoints(rig.endpoint(1, slots=1), rig.endpoint(2))
    assert port_of_next(rig, kit, rig.post(LONG)) == 1
    rig.ask()
    assert ask(rig, rig.post(LONG))[2].port == 2

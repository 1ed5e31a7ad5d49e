"""Limits at the gateway: what is refused, what is held meanwhile, and what answers say of it."""

import json

import pytest

from littoral.domain import flight
from littoral.domain.limits import Budget, Limits
from littoral.domain.quota import DENIED, SINCE, UNTIL, WANT
from littoral.domain.session import Reach
from littoral.domain.share import WHOLE, Slice
from littoral.trust.bound import bound

# Prices of the rig are 1 and 2 a million tokens: 1000 and 2000 nano-units a token.


def limited(make, **each):
    """A worker whose key, project or model has limits, on one endpoint."""
    return make(1, limits={f"{kind}:{name}": limits for kind, (name, limits) in each.items()})


def told(transport) -> tuple[int, dict[str, str], dict]:
    head, _, body = transport.data.decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    return (
        int(status.split()[1]),
        dict(line.split(": ", 1) for line in lines),
        json.loads(body) if body.startswith("{") else {},
    )


def code_of(transport) -> str:
    return told(transport)[2]["error"]["code"]


@pytest.mark.parametrize("who", [("project", "p"), ("model", "m")])
def test_the_limits_of_a_project_and_of_a_model_bound_all_who_use_them(make, kit, who):
    rig = limited(make, **{who[0]: (who[1], Limits(requests_per_minute=1))})
    _, first, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    assert told(first)[0] == 200
    _, second, _ = rig.ask()
    status, fields, body = told(second)
    assert (status, body["error"]["code"]) == (429, "rate_limited")
    assert f"{who[0]} '{who[1]}' may make 1 requests a minute" in body["error"]["message"]
    assert fields["retry-after"] == "60"


def test_no_more_requests_are_under_way_than_allowed_and_each_end_makes_room(make, kit):
    rig = limited(make, project=("p", Limits(concurrent=2)))
    asked = [rig.ask() for _ in range(3)]
    assert code_of(asked[2][1]) == "rate_limited"
    assert told(asked[2][1])[1]["retry-after"] == "1"
    asked[0][2].protocol.data_received(kit.answer())
    asked[1][0].connection_lost(None)
    again = [rig.ask() for _ in range(2)]
    assert all(transport.data == b"" for _, transport, _ in again)
    assert code_of(rig.ask()[1]) == "rate_limited"


def test_a_limit_that_refuses_charges_no_other(make, kit):
    rig = limited(
        make,
        project=("p", Limits(requests_per_minute=5)),
        model=("m", Limits(concurrent=1)),
    )
    _, _, engine = rig.ask()
    for _ in range(9):
        assert code_of(rig.ask()[1]) == "rate_limited"
    engine.protocol.data_received(kit.answer())
    assert rig.ask()[1].data == b""


def test_tokens_are_held_while_a_request_is_open_and_counted_when_it_ends(make, kit):
    rig = limited(make, project=("p", Limits(tokens_per_minute=150)))
    body = kit.body[:-1] + b',"max_tokens":60}'
    _, _, engine = rig.ask(rig.post(body))
    assert rig.quota.held(0) == len(body) // 4 + 60
    assert code_of(rig.ask(rig.post(body))[1]) == "rate_limited"
    engine.protocol.data_received(kit.answer())
    assert rig.quota.held(0) == 0
    assert rig.ask(rig.post(body))[1].data == b""


def test_a_request_that_may_never_fit_is_told_to_ask_for_less(make, kit):
    rig = limited(make, project=("p", Limits(tokens_per_minute=100)))
    status, _, body = told(rig.ask(rig.post(kit.body[:-1] + b',"max_tokens":500}'))[1])
    assert (status, body["error"]["param"]) == (400, "max_tokens")
    assert "may use 100 a minute" in body["error"]["message"]


def budgeted(make, amount: float):
    rig = limited(make, project=("p", Limits(budget=Budget(amount=amount, period="hour"))))
    at = rig.quota.at(0)
    rig.quota.words[at + SINCE], rig.quota.words[at + UNTIL] = 0, 1 << 62
    return rig


def test_a_budget_reserves_the_most_a_request_may_cost_and_takes_what_it_did(make, kit):
    body = kit.body[:-1] + b',"max_tokens":10}'
    worst = (len(body) + 64) * 1000 + 10 * 2000
    rig = budgeted(make, 2 * worst / 1e9)
    _, _, engine = rig.ask(rig.post(body))
    assert rig.quota.taken(0) == worst
    rig.ask(rig.post(body))
    status, fields, answer = told(rig.ask(rig.post(body))[1])
    assert (status, answer["error"]["code"]) == (429, "budget_exhausted")
    assert fields["x-should-retry"] == "false"
    assert "retry-after" not in fields
    engine.protocol.data_received(kit.answer())
    assert rig.quota.taken(0) == worst + 7 * 1000 + 5 * 2000
    assert code_of(rig.ask(rig.post(body))[1]) == "budget_exhausted"


def test_a_failed_request_gives_its_money_back(make, kit):
    rig = budgeted(make, 1.0)
    _, _, engine = rig.ask()
    engine.protocol.data_received(kit.answer(b"{}", status="500 Oh"))
    assert (rig.quota.under_way(0), rig.quota.taken(0)) == (0, 0)


def test_money_is_reserved_for_the_dearest_place_or_for_the_chosen_one_where_that_is_too_much(
    make, kit
):
    rig = budgeted(make, 1.0)
    dear = rig.endpoint(2, price_in=100.0, price_out=100.0)
    rig.endpoints(rig.endpoint(1), dear)
    body = kit.body[:-1] + b',"max_tokens":10}'
    size = len(body) + 64
    rig.ask(rig.post(body))
    assert rig.quota.taken(0) == (size + 10) * 100_000
    tight = budgeted(make, (size * 1000 + 10 * 2000) / 1e9)
    tight.endpoints(tight.endpoint(1), dear)
    _, transport, engine = tight.ask(tight.post(body))
    assert tight.quota.taken(0) == size * 1000 + 10 * 2000
    assert tight.quota.words[tight.quota.at(0) + DENIED] == 0  # no share shall grow for it
    engine.protocol.data_received(kit.answer(b"{}", status="500 Oh"))
    tight.loop.run()
    assert code_of(transport) == "upstream"


def test_what_a_request_holds_stands_in_its_slot_until_it_is_booked(make, kit):
    rig = budgeted(make, 1.0)
    _, _, engine = rig.ask()
    [held] = rig.records()
    assert held.charge is not None
    assert held.charge.rows == (0,)
    assert held.charge.money == rig.quota.taken(0)
    engine.protocol.data_received(kit.answer())
    [settled] = rig.records()
    assert settled.settled
    assert settled.charge == held.charge


def test_a_key_without_limits_is_told_of_none_and_holds_nothing(rig, kit):
    _, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    assert not [name for name in told(transport)[1] if name.startswith("x-ratelimit")]
    assert rig.records()[0].charge is None


def test_answers_say_what_the_tightest_limits_leave(make, kit):
    rig = limited(
        make,
        project=("p", Limits(requests_per_minute=60, tokens_per_minute=6000)),
        model=("m", Limits(requests_per_minute=2)),
    )
    body = kit.body[:-1] + b',"max_tokens":60}'
    _, transport, engine = rig.ask(rig.post(body))
    engine.protocol.data_received(kit.answer())
    fields = told(transport)[1]
    assert fields["x-ratelimit-limit-requests"] == "2"
    assert fields["x-ratelimit-remaining-requests"] == "1"
    assert fields["x-ratelimit-reset-requests"] == "30000ms"
    assert fields["x-ratelimit-limit-tokens"] == "6000"
    assert fields["x-ratelimit-remaining-tokens"] == str(6000 - len(body) // 4 - 60)


def test_a_rate_alone_is_told_as_it_is_among_others(make, kit):
    alone = limited(make, project=("p", Limits(requests_per_minute=7)))
    both = limited(make, project=("p", Limits(requests_per_minute=7)), model=("m", Limits()))
    found = []
    for rig in (alone, both):
        _, transport, engine = rig.ask()
        engine.protocol.data_received(kit.answer())
        fields = told(transport)[1]
        found.append({k: v for k, v in fields.items() if k.startswith("x-ratelimit")})
    assert found[0] == found[1]
    assert found[0]["x-ratelimit-remaining-requests"] == "6"


def test_a_limit_that_no_row_counts_refuses(make):
    rig = limited(make, project=("p", Limits(concurrent=1)))
    rig.snapshot(rig.grant, counted=False)
    status, _, body = told(rig.ask()[1])
    assert (status, body["error"]["code"]) == (503, "unavailable")
    rig = make(1, rate=5)
    rig.snapshot(rig.grant, counted=False)
    assert told(rig.ask()[1])[0] == 503


def test_a_used_up_limit_is_told_before_a_missing_place(make):
    rig = limited(make, project=("p", Limits(concurrent=1)))
    rig.ask()
    rig.endpoints(rig.endpoint(1, state="starting"))
    assert code_of(rig.ask()[1]) == "rate_limited"


def test_a_key_made_anew_by_a_snapshot_keeps_its_rate(make, kit):
    rig = make(1, rate=1)
    _, _, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    rig.snapshot(rig.grant)
    assert code_of(rig.ask()[1]) == "rate_limited"


def test_requests_that_only_rates_bound_are_charged_to_all_of_them_or_to_none(make, kit):
    rig = limited(
        make,
        project=("p", Limits(requests_per_minute=1)),
        model=("m", Limits(requests_per_minute=2)),
    )
    _, _, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    assert rig.records()[0].charge is None
    for _ in range(3):
        assert code_of(rig.ask()[1]) == "rate_limited"
    assert rig.quota.words[rig.quota.at(1)] - int(rig.clock.now() * 1e9) == 30_000_000_000


def test_slots_hold_at_most_six_rows():
    buffer = bytearray(flight.SLOT_BYTES)
    charge = flight.Charge((1, 2, 3, 4, 5, 6), 7, 8)
    flight.charge(buffer, 0, charge)
    header = (flight.CHARGED, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0)
    names = flight.identity(("r", "p", "k", "m", "d", "e"))
    flight.write(buffer, 0, state=flight.OPEN, header=header, names=names)
    assert flight.read(buffer, 0).charge == charge


def test_tokens_that_are_counted_reserve_nothing_and_cost_nothing(make):
    rig = budgeted(make, 1.0)
    rig.endpoints(rig.endpoint(1, capabilities=("tokenize",)))
    body = b'{"model":"m","prompt":"hi"}'
    client, _, _ = rig.ask(rig.post(body, path="/tokenize"))
    assert rig.quota.under_way(0) == 1
    assert rig.quota.taken(0) == 0
    client.connection_lost(None)
    (record,) = rig.records()
    assert (record.record.tokens_in, record.record.cost) == (0, 0)
    assert rig.quota.taken(0) == 0


def shared(rig, **slice_):
    """Let the node have a share of the project's limits."""
    bound(rig.quota, 0, limits=rig.limits["project:p"], given=Slice(**slice_))


def message(transport) -> str:
    return told(transport)[2]["error"]["message"]


def test_a_node_with_a_share_of_a_rate_refuses_at_its_end_and_says_whose_it_is(make, kit):
    rig = limited(make, project=("p", Limits(requests_per_minute=4)))
    shared(rig, rate=WHOLE // 2)
    for _ in range(2):
        _, transport, engine = rig.ask()
        engine.protocol.data_received(kit.answer())
        assert told(transport)[0] == 200
    assert told(transport)[1]["x-ratelimit-limit-requests"] == "2"
    _, third, _ = rig.ask()
    assert told(third)[0] == 429
    assert "this node's share is 2 of 4 requests a minute" in message(third)
    assert "it grows as far as other nodes have no use for theirs" in message(third)
    shared(rig, rate=WHOLE)
    assert rig.ask()[1].data == b""


def test_a_share_below_one_request_a_minute_still_admits_one(make):
    rig = limited(make, project=("p", Limits(requests_per_minute=1)))
    shared(rig, rate=WHOLE // 3)
    assert rig.ask()[1].data == b""
    _, second, _ = rig.ask()
    assert 179 <= int(told(second)[1]["retry-after"]) <= 181


def test_a_node_without_a_share_refuses_and_says_that_the_site_is_offline(make):
    rig = limited(make, project=("p", Limits(requests_per_minute=4)))
    shared(rig)
    rig.worker.take_reach(Reach(offline=True))
    _, transport, _ = rig.ask()
    assert told(transport)[0] == 429
    assert "0 of 4 requests a minute; the site is offline: more when" in message(transport)


def test_a_share_of_money_ends_where_it_ends_and_is_told(make, kit):
    body = kit.body[:-1] + b',"max_tokens":10}'
    rig = budgeted(make, 1.0)
    shared(rig, amount=1000, standing=1000, rate=WHOLE)
    _, transport, _ = rig.ask(rig.post(body))
    assert told(transport)[0] == 429
    assert code_of(transport) == "budget_exhausted"
    assert "this node's share is 1e-06 of 1 in money" in message(transport)
    assert rig.quota.words[rig.quota.at(0) + WANT] == (len(body) + 64) * 1000 + 10 * 2000
    shared(rig, amount=10**9, standing=0, rate=WHOLE)
    assert rig.ask(rig.post(body))[1].data == b""


def test_a_share_of_requests_at_one_time_is_told(make):
    rig = limited(make, project=("p", Limits(concurrent=2)))
    shared(rig, rate=WHOLE, open=1)
    rig.ask()
    _, second, _ = rig.ask()
    assert "this node's share is 1 of 2 requests at one time" in message(second)
    assert rig.quota.words[rig.quota.at(0) + DENIED] == 1


def test_a_request_larger_than_a_share_of_tokens_waits_for_an_unused_one(make, kit):
    rig = limited(make, project=("p", Limits(tokens_per_minute=1000)))
    shared(rig, rate=WHOLE // 10)
    body = kit.body[:-1] + b',"max_tokens":500}'
    _, first, engine = rig.ask(rig.post(body))
    assert first.data == b""
    assert code_of(rig.ask(rig.post(body))[1]) == "rate_limited"
    engine.protocol.data_received(kit.answer())
    _, third, _ = rig.ask(rig.post(body))
    assert "100 of 1000 tokens a minute" in message(third)
    shared(rig)
    assert code_of(rig.ask(rig.post(kit.body[:-1] + b',"max_tokens":1}'))[1]) == "rate_limited"


def test_a_request_that_fits_no_limit_hears_nothing_of_shares(make, kit):
    rig = limited(make, project=("p", Limits(tokens_per_minute=100)))
    shared(rig, rate=WHOLE // 2)
    transport = rig.ask(rig.post(kit.body[:-1] + b',"max_tokens":500}'))[1]
    assert "share" not in message(transport)

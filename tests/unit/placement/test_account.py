from dataclasses import replace

import pytest

from littoral.domain.decided import decided
from littoral.domain.ids import EndpointId
from littoral.domain.policy import Policy, PolicySpec
from littoral.domain.units import Seconds
from littoral.domain.usage import CACHE
from littoral.placement.account import REFUSED, WINDOW, endpoints, outlook, pair_of, saved
from littoral.placement.history import Priced, moments
from unit.placement.test_history import PRICES, traffic


def test_a_record_without_a_promise_or_an_end_makes_no_pair():
    good = traffic(1)[0]
    assert pair_of(good) == pytest.approx((1.0, 1.5, 1.0))
    for change in (
        {"status": "failed"},
        {"endpoint": CACHE},
        {"total_us": 0},
        {"predicted_us": 0},
        {"predicted_p90_us": 0},
    ):
        assert pair_of(replace(good, **change)) is None


def test_each_place_has_its_row_the_busiest_first():
    records = [*traffic(2 * WINDOW + 3), replace(traffic(1)[0], endpoint=CACHE)]
    far, near = endpoints(records)
    assert (far.deployment, far.requests, near.requests) == ("far", WINDOW + 2, WINDOW + 1)
    assert far.accuracy.coverage == 1.0
    assert far.accuracy.bias == pytest.approx(0.0)
    assert [share for _, share in far.cover] == [1.0] * 3
    assert endpoints([]) == []


def test_a_row_says_why_its_place_was_chosen_and_what_others_were_rejected_for():
    number = decided("warm", (0, 0, 1, 2, 0, 0))
    records = [*(replace(each, decided=number) for each in traffic(4)), *traffic(2)]
    far, near = endpoints(records)
    assert (far.why, near.why) == ({"warm": 2}, {"warm": 2})
    assert far.rejected == {"unready": 4, "context": 2}


def test_a_place_of_which_nothing_was_promised_has_a_row_without_figures():
    (row,) = endpoints([replace(traffic(1)[0], predicted_us=0)])
    assert (row.requests, row.accuracy.seen, row.cover) == (1, 0, ())


def test_what_was_saved_is_against_the_dearest_place_that_served_the_model():
    records = [replace(each, cost=0.0) for each in traffic(10)]
    found = saved(records, PRICES)
    assert found.dearest == pytest.approx(10 * (100 * 1.0 + 20 * 2.0) / 1e6)
    assert (found.spent, found.share) == (0.0, 0.0)
    assert saved(records, {}).share == 0.0
    paid = [replace(each, cost=1.0) for each in records]
    assert (saved(paid, {}).dearest, saved(paid, {}).share) == (10.0, 1.0)
    aside = replace(records[0], endpoint=EndpointId(CACHE), model="other")
    assert saved([*records, aside], PRICES).dearest == found.dearest


def test_an_outlook_counts_where_requests_go_and_what_they_miss():
    tight = Policy(name="p", spec=PolicySpec(total_s=Seconds(0.5)))
    free = outlook(list(moments(traffic(), PRICES))[20:])
    late = outlook(list(moments(traffic(), PRICES, [tight]))[20:])
    assert free.went == {"near": 40}
    assert late.went == {"far": 40}
    assert (free.expected_misses, late.expected_misses) == (0, 40)
    assert late.cost > free.cost == 0.0
    assert free.regret == 0.0


def test_refusals_are_counted_apart():
    hopeless = PolicySpec(total_s=Seconds(0.01), miss_cost=1e-9, deployments=("far",))
    found = outlook(list(moments(traffic(), PRICES, [Policy(name="p", spec=hopeless)]))[20:])
    assert (found.shed, found.went, found.why) == (40, {REFUSED: 40}, {"shed": 40})


def test_nothing_has_an_outlook_too():
    assert outlook([]).regret == 0.0
    assert outlook([]).requests == 0


def test_regret_is_what_was_paid_beyond_the_cheapest_in_time():
    prices = {"near": Priced(price_in=0.5), "far": Priced(price_in=5.0)}
    policy = Policy(name="p", spec=PolicySpec(total_s=Seconds(5.0), miss_cost=10.0))
    found = outlook(list(moments(traffic(600), prices, [policy]))[-50:])
    assert (found.went, found.why) == ({"far": 50}, {"safest": 50})
    assert found.regret == pytest.approx(100 * (5.0 - 0.5) / 1e6)

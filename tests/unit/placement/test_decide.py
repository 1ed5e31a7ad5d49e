import math
from collections import Counter
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from littoral.cost.predictor import COLD_SPREAD, unknown
from littoral.cost.terms import stretch
from littoral.domain.endpoint import Capability, Folded
from littoral.domain.ids import EndpointId, RequestId
from littoral.domain.placement import Candidate, Reason, Request
from littoral.domain.reach import RESIDENCIES
from littoral.domain.units import Seconds, Tokens
from littoral.placement.decide import NEAR, decide, row_of
from littoral.placement.filters import FILTERS, REASONS, first_reason

NAMES = st.frozensets(st.sampled_from(get_args(Capability)[:3]))
REQUESTS = st.builds(
    Request,
    id=st.just(RequestId("r")),
    model=st.just("m"),
    tokens_in=st.integers(0, 300),
    tokens_out=st.integers(1, 300),
    needs=NAMES,
    total_s=st.one_of(st.none(), st.floats(0.01, 100)),
    residency=st.sampled_from(RESIDENCIES),
    barred=st.frozensets(st.sampled_from("abcdef"), max_size=2),
)
CANDIDATES = st.builds(
    Candidate,
    id=st.sampled_from("abcdef"),
    ready=st.booleans(),
    slots=st.integers(1, 4),
    in_flight=st.integers(0, 9),
    context=st.sampled_from([0, 100, 400, 600]),
    capabilities=NAMES,
    price_in=st.sampled_from([0.0, 1.0, 1.005]),
    price_out=st.sampled_from([0.0, 2.0]),
    within=st.frozensets(st.sampled_from(RESIDENCIES)),
)
FLEETS = st.lists(CANDIDATES, max_size=6, unique_by=lambda candidate: candidate.id)
FOLDS = st.dictionaries(st.sampled_from("abcdef"), st.floats(0.001, 0.2)).map(
    lambda speeds: {
        EndpointId(name): Folded(
            endpoint=EndpointId(name),
            version=7,
            t0=Seconds(speed),
            t_in=Seconds(speed / 10),
            t_step=Seconds(speed),
            width=0.4,
            scale=1.2,
            state="ok",
        )
        for name, speed in speeds.items()
    }
)


def seconds(request: Request, candidate: Candidate, folded: Folded) -> tuple[float, float]:
    """The prediction as its definition says it, p50 and p90."""
    others = min(candidate.in_flight, max(candidate.slots, 1) - 1)
    step = folded.t_step + folded.t_crowd * others
    plain = folded.t0 + folded.t_in * request.tokens_in + step * (request.tokens_out - 1)
    total = plain * (1 + stretch(candidate.in_flight, candidate.slots))
    return total, total * math.exp(folded.scale * folded.width)


def reason_of(request: Request, candidate: Candidate, folded: Folded) -> Reason | None:
    late = request.total_s is not None and seconds(request, candidate, folded)[1] > request.total_s
    return first_reason(request, candidate) or ("deadline" if late else None)


@given(REQUESTS, FLEETS, FOLDS)
def test_the_flattened_loop_agrees_with_the_composed_filters(request_, fleet, folds):
    known = {one.id: folds.get(one.id) or unknown(one.id) for one in fleet}
    reasons = {one.id: reason_of(request_, one, known[one.id]) for one in fleet}
    decision = decide(request_, fleet, folds)
    assert decision.rejected == dict.fromkeys(REASONS, 0) | Counter(
        reason for reason in reasons.values() if reason
    )
    allowed = [one for one in fleet if reasons[one.id] is None]
    if not allowed:
        allowed = [one for one in fleet if reasons[one.id] == "deadline"]
        assert decision.why == ("least_miss" if allowed else "none")
    assert (decision.chosen in {one.id for one in allowed}) == bool(allowed)
    assert (decision.prediction is None) == (decision.chosen is None)
    if decision.prediction is not None:
        chosen = next(one for one in fleet if one.id == decision.chosen)
        p50, p90 = seconds(request_, chosen, known[chosen.id])
        assert decision.prediction.candidate == chosen.id
        assert decision.prediction.coefficients == known[chosen.id].version
        assert math.isclose(decision.prediction.total_p50_s, p50)
        assert math.isclose(decision.prediction.total_p90_s, p90)
        assert decision.prediction.first_p50_s <= decision.prediction.total_p50_s


@given(REQUESTS, FLEETS, FOLDS, st.randoms(use_true_random=False))
def test_the_order_of_the_candidates_does_not_matter(request_, fleet, folds, chance):
    shuffled = list(fleet)
    chance.shuffle(shuffled)
    assert decide(request_, shuffled, folds) == decide(request_, fleet, folds)


@given(REQUESTS, FLEETS, CANDIDATES, FOLDS)
def test_one_more_candidate_never_makes_it_dearer(request_, fleet, newcomer, folds):
    before = decide(request_, [one for one in fleet if one.id != newcomer.id], folds)
    after = decide(request_, [*(one for one in fleet if one.id != newcomer.id), newcomer], folds)
    if before.prediction is not None and before.why != "least_miss":
        assert after.prediction is not None
        assert after.prediction.cost <= before.prediction.cost * NEAR * (1 + 1e-12)


@given(REQUESTS, CANDIDATES)
def test_the_first_reason_is_that_of_the_first_filter_that_has_one(request_, candidate):
    reasons = [check(request_, candidate) for check in FILTERS]
    order = ("policy", *REASONS)
    assert all(found in {None, order[at]} for at, found in enumerate(reasons))
    assert first_reason(request_, candidate) == next(filter(None, reasons), None)
    assert first_reason(request_, candidate, ()) is None


def test_a_candidate_nobody_measured_gets_cautious_coefficients():
    candidate = Candidate(
        id=EndpointId("a"),
        ready=True,
        slots=0,
        in_flight=0,
        context=Tokens(0),
        capabilities=frozenset({"chat"}),
        price_in=1.0,
        price_out=0.0,
    )
    row = row_of(candidate, unknown(candidate.id))
    assert (row.width, row.scale) == (COLD_SPREAD, 1.0)
    assert (row.slots, row.context > 1 << 60) == (1, True)
    request = Request(
        id=RequestId("r"), model="m", tokens_in=Tokens(10), tokens_out=Tokens(1 << 40)
    )
    decision = decide(request, [candidate], {})
    assert (decision.chosen, decision.why) == ("a", "only")
    assert decision.prediction is not None
    assert decision.prediction.coefficients == 0


@given(REQUESTS, FLEETS, FOLDS)
def test_no_price_and_no_speed_takes_a_request_out_of_its_residency(request_, fleet, folds):
    decision = decide(request_, fleet, folds)
    chosen = [one for one in fleet if one.id == decision.chosen]
    assert all(request_.residency in one.within for one in chosen)

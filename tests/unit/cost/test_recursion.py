import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.cost.recursion import (
    CEILING,
    CLIP,
    FORGET,
    MIX,
    RANGE,
    SPEED,
    Four,
    Recursion,
    begin,
    predict,
    step,
    widen,
)

PRIOR = (0.02, 0.003, 0.03, 0.01)
TRUE = (0.05, 0.002, 0.06, 0.004)
ONE = (1.0, 1.0, 1.0, 1.0)
ALONE = (1.0, 0.0, 0.0, 0.0)
FEATURES = st.tuples(st.just(1.0), st.floats(1, 4000), st.floats(0, 2000), st.floats(0, 8000))


def determinant(matrix: list[list[float]]) -> float:
    if len(matrix) == 1:
        return matrix[0][0]
    return sum(
        (-1) ** col
        * matrix[0][col]
        * determinant([row[:col] + row[col + 1 :] for row in matrix[1:]])
        for col in range(len(matrix))
    )


def sound(state: Recursion) -> bool:
    """Finite, positive definite by its leading minors, coefficients at least 0."""
    rows = square(state)
    return (
        all(math.isfinite(value) for row in rows for value in row)
        and all(determinant([row[: n + 1] for row in rows[: n + 1]]) > 0 for n in range(4))
        and all(math.isfinite(value) and value >= 0 for value in state.theta)
    )


def square(state: Recursion) -> list[list[float]]:
    """The covariance with both its triangles."""
    left = iter(state.covariance)
    found = [[0.0] * 4 for _ in range(4)]
    for i in range(4):
        for j in range(i, 4):
            found[i][j] = found[j][i] = next(left)
    return found


def mixed(index: int) -> Four:
    return (1.0, 20.0 + index * 37 % 400, 5.0 + index * 53 % 190, float(index * 29 % 500))


def test_a_prediction_is_the_sum_of_its_terms():
    assert predict((0.1, 0.2, 0.3, 0.4), (1.0, 5.0, 2.0, 0.5)) == pytest.approx(1.9)


def test_it_finds_the_coefficients_behind_exact_outcomes():
    state = begin(PRIOR)
    for index in range(300):
        x = mixed(index)
        state = step(state, x, predict(TRUE, x))
    for index in range(300, 320):
        x = mixed(index)
        assert predict(state.theta, x) == pytest.approx(predict(TRUE, x), rel=0.02)
    assert state.steps == 300
    assert sound(state)


@pytest.mark.parametrize("factor", [50.0, 10.0, 0.1, 0.02])
def test_a_prior_that_is_far_out_is_left_within_a_dozen_outcomes(factor):
    state = begin(PRIOR)
    slow = tuple(factor * value for value in PRIOR)
    for index in range(12):
        state = step(state, mixed(index), predict(slow, mixed(index)))
    assert predict(state.theta, mixed(99)) == pytest.approx(predict(slow, mixed(99)), rel=0.25)


def test_it_follows_a_slowdown():
    state = begin(PRIOR)
    for index in range(300):
        state = step(state, mixed(index), predict(TRUE, mixed(index)))
    for index in range(200):
        state = step(state, mixed(index), 1.8 * predict(TRUE, mixed(index)))
    ratio = predict(state.theta, mixed(7)) / predict(TRUE, mixed(7))
    assert 1.8 * math.exp(-0.1) < ratio < 1.8 * math.exp(0.1)


def test_without_forgetting_it_is_batch_least_squares_on_logs(monkeypatch):
    monkeypatch.setattr("littoral.cost.recursion.FORGET", 1.0)
    state = begin(ONE)
    logs = [0.01, -0.3, 0.2, 0.0, -0.04]
    for value in logs:
        state = step(state, ALONE, math.exp(value))
    shrunk = sum(logs) / (len(logs) + 1 / (SPEED + MIX))
    assert math.log(state.theta[0]) == pytest.approx(shrunk, abs=1e-12)
    assert state.covariance[0] == pytest.approx(1 / (len(logs) + 1 / (SPEED + MIX)))


def test_one_outlier_moves_a_learned_prediction_by_less_than_a_quarter():
    state = begin(PRIOR)
    for index in range(100):
        state = step(state, mixed(index), predict(TRUE, mixed(index)))
    x = mixed(200)
    before = predict(state.theta, x)
    for factor in (1e-3, 1e3):
        after = predict(step(state, x, factor * before).theta, x)
        assert abs(after / before - 1) < 0.25


@pytest.mark.parametrize("kind", ["constant", "adversarial"])
def test_it_stays_sound_over_many_updates(kind):
    state = begin(PRIOR)
    for index in range(1_500):
        x = (1.0, 100.0, 50.0, 0.0) if kind == "constant" else mixed(index)
        y = 1.0 if kind == "constant" else (1e-3 if index % 2 else 1e3)
        state = step(state, x, y)
    assert sound(state)


@given(st.lists(st.tuples(FEATURES, st.floats(1e-4, 1e5)), max_size=40))
def test_any_outcomes_leave_it_sound(outcomes):
    state = begin(PRIOR)
    for x, y in outcomes:
        state = step(state, x, y)
    assert sound(state)


@given(st.lists(st.tuples(FEATURES, st.floats(1e-2, 1e3)), max_size=10))
def test_the_same_outcomes_give_the_same_bits(outcomes):
    first = second = begin(PRIOR)
    for x, y in outcomes:
        first = step(first, x, y)
    for x, y in outcomes:
        second = step(second, x, y)
    assert first == second


def test_what_outcomes_do_not_speak_of_is_not_forgotten():
    state = begin(PRIOR)
    for _ in range(600):
        state = step(state, (1.0, 0.0, 0.0, 0.0), 0.02)
    assert state.covariance[0] == pytest.approx(1 / FORGET - 1, rel=0.01)
    assert 1.0 < state.covariance[-1] <= SPEED + MIX
    assert state.theta == PRIOR


def test_requests_that_are_all_alike_still_show_a_slowdown():
    state, x = begin(PRIOR), (1.0, 100.0, 50.0, 0.0)
    for _ in range(600):
        state = step(state, x, 3.0)
    for _ in range(200):
        state = step(state, x, 5.4)
    assert predict(state.theta, x) == pytest.approx(5.4, rel=0.1)


def test_the_first_outcome_moves_the_whole_machine():
    state = step(begin(PRIOR), mixed(1), 3 * predict(PRIOR, mixed(1)))
    for value, prior in zip(state.theta, PRIOR, strict=True):
        assert 2 * prior < value < 4 * prior


def test_a_surprise_makes_it_learn_faster():
    state = begin(PRIOR)
    for index in range(100):
        state = step(state, mixed(index), predict(PRIOR, mixed(index)))
    expected = predict(state.theta, mixed(5))
    moves = [
        predict(step(state, mixed(5), expected * math.exp(far)).theta, mixed(5)) / expected - 1
        for far in (CLIP - 0.01, CLIP + 0.01)
    ]
    assert moves[1] > 2 * moves[0] > 0


def test_coefficients_stay_within_reach_of_their_priors():
    state = begin(ONE)
    for _ in range(100):
        state = step(state, ONE, 1e30)
    assert state.theta == (RANGE,) * 4
    for _ in range(100):
        state = step(state, ONE, 1e-30)
    assert state.theta == (1 / RANGE,) * 4


def test_the_diagonal_is_refreshed_now_and_then():
    state = begin(ONE)._replace(covariance=(0.0,) * 10, steps=998)
    state = step(state, ONE, 4.0)
    assert state.covariance == (0.0,) * 10
    refreshed = step(state, ONE, 4.0)
    assert [row[i] for i, row in enumerate(square(refreshed))] == [1e-9] * 4
    assert sum(refreshed.covariance) == pytest.approx(4e-9)


def test_a_variance_that_rounding_made_negative_is_nothing():
    state = begin(ONE)
    state = state._replace(covariance=(-1e-20, *state.covariance[1:]))
    assert step(state, (0.0, 1.0, 0.0, 0.0), 1.0).covariance[0] == 0.0


def test_widening_leaves_the_coefficients_and_stops_at_the_ceiling():
    variances = (1.0, 2.0, 0.0, 0.0, 16.0, 0.0, 0.0, 3.0, 0.5, 4.0)
    narrow = begin((1.0, 2.0, 1.0, 1.0))._replace(covariance=variances)
    wide = widen(narrow, 4.0)
    assert wide.theta == narrow.theta
    assert wide.covariance == tuple(4.0 * value for value in variances)
    widest = widen(narrow, 1e9)
    assert sum(square(widest)[i][i] for i in range(4)) == pytest.approx(4 * CEILING)
    assert widen(widest, 4.0).covariance == pytest.approx(widest.covariance)

"""Both caches: what may be kept, how long, how much, and for whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.gateway.cache import NEITHER, Answer, Cache, consent, key_of
from littoral.gateway.semantic import Neighbours, unit

names = st.text(max_size=8)
parts = st.binary(max_size=8)


def answer(size=100):
    return Answer(b"x" * size, 3, 5)


@given(names, parts, parts, names, parts, parts)
def test_another_project_revision_or_body_is_another_key(p, r, b, q, s, c):
    one = key_of(project=p, revision=r, body=b)
    other = key_of(project=q, revision=s, body=c)
    assert (one == other) == ((p, r, b) == (q, s, c))


def test_an_answer_lives_as_long_as_it_may_and_stale_ones_only_where_asked_for():
    cache = Cache()
    cache.keep(b"k", answer(), until=10.0)
    assert cache.find(b"k", 9.9) == answer()
    assert cache.find(b"k", 10.0) is None
    assert cache.find(b"k", 12.0, stale_s=5.0) == answer()
    assert cache.find(b"k", 15.0, stale_s=5.0) is None
    assert (cache.hits, cache.misses) == (2, 2)


def test_the_least_recently_used_goes_first():
    cache = Cache(most_bytes=3 * 356)
    for key in (b"a", b"b", b"c"):
        cache.keep(key, answer(), until=9.0)
    cache.find(b"a", 0.0)
    cache.keep(b"d", answer(), until=9.0)
    assert [cache.find(key, 0.0) is not None for key in (b"a", b"b", b"c", b"d")] == [
        True,
        False,
        True,
        True,
    ]


def test_an_answer_that_is_too_long_is_not_kept():
    cache = Cache(most_bytes=1000)
    assert not cache.keep(b"k", answer(900), until=9.0)
    assert not Cache().keep(b"k", answer(1024 * 1024 + 1), until=9.0)
    assert len(cache) == 0


@given(st.lists(st.tuples(st.binary(max_size=1), st.integers(0, 2000)), max_size=60))
def test_its_size_is_that_of_what_it_holds_and_within_its_bound(kept):
    cache = Cache(most_bytes=5000)
    for key, size in kept:
        cache.keep(key, answer(size), until=9.0)
        assert cache.size <= 5000
    found = [cache.find(key, 0.0) for key in {key for key, _ in kept}]
    assert cache.size == sum(len(each.data) + 256 for each in found if each)


@pytest.mark.parametrize(
    ("control", "wished", "repeatable", "every", "expected"),
    [
        (b"", False, False, False, NEITHER),
        (b"", False, True, False, (True, True)),
        (b"", True, False, False, (True, True)),
        (b"", False, False, True, (True, True)),
        (b"no-cache", False, True, False, (False, True)),
        (b"max-age=0, no-store", True, True, True, NEITHER),
    ],
)
def test_a_request_takes_part_only_where_project_and_caller_allow_it(
    control, wished, repeatable, every, expected
):
    got = consent(control=control, wished=wished, is_repeatable=repeatable, all_kept=every)
    assert got == expected


# by meaning


def test_the_nearest_question_above_the_threshold_is_found():
    known = Neighbours()
    known.keep("p", b"s", unit((1.0, 0.0)), key=b"x")
    known.keep("p", b"s", unit((1.0, 1.0)), key=b"y")
    assert known.nearest("p", b"s", unit((1.0, 0.9)), threshold=0.9) == b"y"
    assert known.nearest("p", b"s", unit((-1.0, 0.0)), threshold=0.9) is None
    assert known.nearest("p", b"other", unit((1.0, 0.0)), threshold=0.9) is None
    assert known.nearest("p", b"s", unit((1.0, 0.0, 0.0)), threshold=0.9) is None


@given(st.lists(st.tuples(st.sampled_from("pqr"), parts), min_size=1, max_size=30))
def test_no_project_ever_finds_anothers_question(kept):
    known = Neighbours(most=8)
    for project, key in kept:
        known.keep(project, b"s", (1.0, 0.0), key=project.encode() + key)
    for project in "pqr":
        found = known.nearest(project, b"s", (1.0, 0.0), threshold=0.5)
        assert found is None or found[:1] == project.encode()


def test_questions_and_projects_are_bounded():
    known = Neighbours(most=2)
    for number in range(300):
        for key in (b"1", b"2", b"3"):
            known.keep(f"p{number}", b"s", (1.0,), key=key)
    assert len(known) == 256 * 2


def test_a_vector_has_length_one_afterwards_and_must_be_finite():
    assert unit((3.0, 4.0)) == pytest.approx((0.6, 0.8))
    assert unit((0.0, 0.0)) == (0.0, 0.0)
    with pytest.raises(ValueError, match="finite"):
        unit((float("nan"), 1.0))

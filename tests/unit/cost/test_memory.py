import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.cost.memory import GRAIN, OVERHEAD, SHORTEST, fit
from littoral.domain.endpoint import Machine
from littoral.domain.ids import Digest
from littoral.domain.model import Artefact, Facts
from littoral.domain.units import Bytes

MB = 1_000_000


def weights(size: int = 100 * MB, *, per_token: int = 23_040, context: int = 8192) -> Artefact:
    facts = Facts(
        architecture="llama",
        parameters=1,
        context=context,
        layers=30,
        kv_bytes_per_token=Bytes(per_token),
        quantisation="Q4_1",
        has_chat_template=True,
    )
    return Artefact(digest=Digest("sha256:" + "0" * 64), size=Bytes(size), facts=facts)


def machine(free: int, *, cores: int = 2) -> Machine:
    return Machine(cores=cores, memory=Bytes(2 * free), memory_free=Bytes(free))


def test_the_default_model_fits_a_small_machine():
    answer = fit(weights(), machine(2000 * MB), slots=None, context=None)
    assert answer.fits
    assert answer.advice == ""
    assert (answer.slots, answer.context) == (4, 4096)
    assert answer.weights == 100 * MB
    assert answer.overhead == OVERHEAD + 5 * MB
    assert answer.cache == 4 * 4096 * 23_040
    assert answer.available == 1800 * MB


@pytest.mark.parametrize(("cores", "slots"), [(1, 4), (2, 4), (3, 6), (4, 8), (64, 8)])
def test_slots_follow_the_cores(cores, slots):
    answer = fit(weights(), machine(64_000 * MB, cores=cores), slots=None, context=None)
    assert answer.slots == slots


def test_a_short_model_keeps_its_own_context():
    assert fit(weights(context=512), machine(9000 * MB), slots=None, context=None).context == 512
    assert fit(weights(context=0), machine(9000 * MB), slots=None, context=None).context == 4096


def test_slots_are_lowered_before_the_context():
    answer = fit(weights(), machine(500 * MB), slots=None, context=None)
    assert (answer.fits, answer.slots, answer.context) == (True, 2, 4096)
    answer = fit(weights(), machine(300 * MB), slots=None, context=None)
    assert (answer.fits, answer.slots, answer.context) == (True, 1, 1792)


def test_what_was_asked_for_is_kept_and_the_safe_value_is_told():
    answer = fit(weights(), machine(500 * MB), slots=8, context=4096)
    assert (answer.fits, answer.slots, answer.context) == (False, 8, 4096)
    assert answer.advice == "lower slots to 2 or context to 1024"
    assert fit(weights(), machine(500 * MB), slots=2, context=4096).fits
    assert fit(weights(), machine(500 * MB), slots=8, context=1024).fits


def test_where_one_value_alone_does_not_help_both_are_told():
    answer = fit(weights(), machine(300 * MB), slots=8, context=8192)
    assert answer.advice == "lower slots to 1 and context to 1792"
    assert fit(weights(), machine(300 * MB), slots=1, context=1792).fits


def test_one_slot_is_told_to_take_a_shorter_context():
    answer = fit(weights(), machine(300 * MB), slots=1, context=4096)
    assert answer.advice == "lower context to 1792"


def test_a_model_that_cannot_fit_says_how_much_is_missing():
    answer = fit(weights(4000 * MB), machine(2000 * MB), slots=None, context=None)
    assert not answer.fits
    assert (answer.slots, answer.context) == (1, SHORTEST)
    assert answer.advice == (
        "free 2814 MB of memory or take a smaller model: even one slot with a context of 512"
        " does not fit"
    )
    enough = machine(2000 * MB + 2814 * MB)
    assert fit(weights(4000 * MB), enough, slots=None, context=None).fits


def test_a_model_without_a_known_cache_is_judged_by_its_weights():
    assert fit(weights(per_token=0), machine(300 * MB), slots=None, context=None).fits
    answer = fit(weights(per_token=0), machine(200 * MB), slots=None, context=None)
    assert not answer.fits
    assert "smaller model" in answer.advice


@given(
    st.integers(0, 8000 * MB),
    st.integers(0, 500_000),
    st.integers(0, 200_000),
    st.integers(0, 16_000 * MB),
    st.one_of(st.none(), st.integers(1, 64)),
    st.one_of(st.none(), st.integers(1, 131_072)),
)
def test_a_plan_never_goes_beyond_what_is_free(size, per_token, longest, free, slots, context):
    model = weights(size, per_token=per_token, context=longest)
    answer = fit(model, machine(free), slots=slots, context=context)
    needed = answer.weights + answer.cache + answer.overhead
    assert answer.fits == (needed <= answer.available)
    assert answer.available <= 0.9 * free
    assert answer.slots == (slots or answer.slots) >= 1
    assert answer.context == (context or answer.context) >= 1
    assert answer.fits == (not answer.advice)
    told = {
        what: int(number) for what, number in re.findall(r"(slots|context) to (\d+)", answer.advice)
    }
    for change in [told] if " and " in answer.advice else [{key: told[key]} for key in told]:
        plan = {"slots": answer.slots, "context": answer.context} | change
        assert fit(model, machine(free), slots=plan["slots"], context=plan["context"]).fits
    assert told.get("context", GRAIN) % GRAIN == 0

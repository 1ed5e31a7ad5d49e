"""Prompts: their length, what they share, and that one seed gives one text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.app.bench.prompt import TAPE, PromptMaker, Scale, Sharing, scale
from littoral.testing.chance import SeededChance


def maker(seed=1, *, count=None, sharing=None):
    return PromptMaker(SeededChance(seed), scale=count or Scale(), sharing=sharing or Sharing())


PLAIN = maker()


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 5000))
def test_a_prompt_has_as_many_words_as_tokens_were_asked_for(index, tokens):
    assert len(PLAIN.text(index, tokens).split(" ")) == tokens


def test_a_prompt_longer_than_the_tape_goes_round():
    assert len(PLAIN.text(5, 2 * TAPE + 10).split(" ")) == 2 * TAPE + 10


def test_the_same_seed_writes_the_same_text_and_another_seed_another():
    assert maker().text(7, 50) == PLAIN.text(7, 50)
    assert maker(2).text(7, 50) != PLAIN.text(7, 50)
    assert PLAIN.text(8, 50) != PLAIN.text(7, 50)


@settings(max_examples=12)
@given(st.floats(0, 1), st.integers(1, 4), st.integers(0, 100), st.integers(10, 500))
def test_prompts_of_a_group_begin_alike_as_far_as_was_asked(share, groups, index, tokens):
    made = maker(sharing=Sharing(share=share, groups=groups))
    one, other = (made.text(each, tokens).split() for each in (index, index + groups))
    shared = round(share * tokens)
    assert one[:shared] == other[:shared]
    assert len(one) == len(other) == tokens


def test_prompts_of_other_groups_begin_otherwise():
    made = maker(sharing=Sharing(share=0.5, groups=2))
    assert made.text(0, 40).split()[:20] != made.text(1, 40).split()[:20]


def test_equal_blocks_of_a_trace_are_equal_text():
    one = PLAIN.text(1, 1100, (5, 6, 7)).split()
    other = PLAIN.text(2, 1400, (5, 6, 9)).split()
    assert (len(one), len(other)) == (1100, 1400)
    assert one[:1024] == other[:1024]
    assert one[1024:] != other[1024:1100]


def test_what_a_service_counts_turns_tokens_into_words():
    found = scale((16, 30), (144, 286))
    assert found == Scale(per_word=2.0, fixed=0.0, asked=True)
    found = scale((16, 26), (144, 154))
    assert found == Scale(per_word=1.0, fixed=10.0, asked=True)
    assert found.words(110) == 100
    assert found.words(3) == 1
    assert len(maker(count=found).text(1, 110).split()) == 100


@pytest.mark.parametrize("long", [(144, 26), (144, 20)])
def test_a_service_that_counts_nonsense_is_not_believed(long):
    assert scale((16, 26), long) == Scale()

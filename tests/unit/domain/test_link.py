"""What both ends of a link agree on."""

import pytest

from littoral.domain.link import CLOSE_CODES, FINAL, LIVELY, REASONS, SPREAD_S, spread_s


def test_every_reason_has_one_code_of_its_own():
    assert {REASONS[code] for code in CLOSE_CODES.values()} == set(CLOSE_CODES)


def test_a_link_that_was_lost_or_ran_out_of_its_certificate_may_go_on():
    assert not {"lost", "certificate", "overloaded"} & FINAL


def test_a_node_is_doubted_after_two_beats_and_given_up_later():
    assert 2 * LIVELY.beat_s < LIVELY.suspect_s < LIVELY.lost_s


@pytest.mark.parametrize(
    ("nodes", "rate", "wanted"), [(10, 100, SPREAD_S), (10_000, 100, 150.0), (4, 0.0, 6.0)]
)
def test_a_return_is_spread_by_what_the_listener_manages(nodes, rate, wanted):
    assert spread_s(nodes, rate) == wanted

"""Which dates a wrong clock gave, and what is told of them beside the rows."""

from littoral.domain.dating import LAG_US, MOST, Stretch, noted, redated, settled
from littoral.domain.outbox import Batch, Redated, Row, dated
from littoral.domain.units import Micros, Seconds
from littoral.testing.usage import usage_record

S = 1_000_000
NOW = Micros(2_000 * S)


def believed(wall_s: float, now_s: float, machine: str = "m", *, behind: bool = False) -> Stretch:
    wall = Micros(round(wall_s * S))
    offset = wall - round(now_s * S)
    return Stretch(machine=machine, since_us=wall, offset_us=offset, behind=behind)


def look(stretches, wall_s, now_s, machine="m", *, starts=False, behind=False):
    found = believed(wall_s, now_s, machine, behind=behind)
    return noted(stretches, found, Seconds(now_s), starts=starts)


def row(seq: int, at_s: float) -> Row:
    return Row(seq=seq, mac=b"%d" % seq, usage=usage_record(seq, at_us=Micros(round(at_s * S))))


def told(stretches, *rows: Row):
    return redated(Batch(lane="ledger", rows=rows), stretches).redated


def test_one_offset_is_one_stretch_however_often_one_looks_and_starts() -> None:
    first = look((), 100.0, 10.0)
    assert look(first, 151.0, 60.0) is first
    assert look(first, 151.0, 60.0, starts=True) is first


def test_a_stretch_ends_where_the_offset_changes() -> None:
    first, second = look(look((), 100.0, 10.0), 500.0, 20.0)
    assert (first.until_us, second.since_us, second.until_us) == (110 * S, 500 * S, None)


def test_what_began_after_the_machine_went_off_ends_where_the_next_begins() -> None:
    first, _ = look(look((), 100.0, 10.0), 150.0, 1.0, "n")
    assert first.until_us == 150 * S
    first, _ = look(look((), 100.0, 10.0), 50.0, 1.0, "n")
    assert first.until_us == 100 * S


def test_nothing_was_dated_while_the_node_was_not_there() -> None:
    first, second = look(look((), 100.0, 10.0), 400.0, 1_000.0, starts=True)
    assert first.until_us == second.since_us == 400 * S


def test_a_stretch_that_is_settled_is_not_gone_on_with() -> None:
    done = settled(look((), 100.0, 10.0), "m", wall_us=NOW, now=Seconds(20.0), last=5)
    first, second = look(done, 2_010.0, 30.0)
    assert first == done[0]
    assert second.shift_us is None


def test_only_the_latest_stretches_are_remembered() -> None:
    stretches = ()
    for n in range(MOST + 5):
        stretches = look(stretches, 100.0 * n, 1.0)
    assert len(stretches) == MOST
    assert stretches[-1].since_us == 100 * (MOST + 4) * S


def test_the_time_that_control_tells_settles_every_stretch_of_this_boot_alone() -> None:
    stretches = look(look(look((), 100.0, 90.0, "o"), 200.0, 10.0), 500.0, 20.0)
    other, first, second = settled(stretches, "m", wall_us=NOW, now=Seconds(30.0), last=7)
    assert other == stretches[0]
    assert (first.shift_us, first.until_us) == (1_780 * S, 210 * S)
    assert (second.shift_us, second.until_us, second.last) == (1_490 * S, 510 * S + LAG_US, 7)
    assert settled((first, second), "m", wall_us=Micros(0), now=Seconds(40.0), last=9) == (
        first,
        second,
    )


def test_a_clock_that_was_right_to_two_seconds_was_right() -> None:
    (only,) = settled(look((), 100.0, 10.0), "m", wall_us=Micros(102 * S), now=Seconds(10), last=1)
    assert only.shift_us == 0
    assert told((only,), row(1, 100.0)) == ()


def test_rows_of_a_clock_behind_are_moved_and_those_after_it_are_not() -> None:
    stretches = settled(look((), 100.0, 10.0), "m", wall_us=NOW, now=Seconds(30.0), last=2)
    rows = (row(1, 99.9), row(2, 100.0), row(3, 120.5), row(4, 2_000.0), row(5, 120.0))
    assert told(stretches, *rows) == (
        Redated(first=2, last=3, by_us=1_880 * S),
        Redated(first=5, last=5, by_us=1_880 * S),
    )
    assert told(stretches, Row(seq=1, damaged=3)) == ()


def test_dates_of_a_clock_ahead_that_come_again_are_right() -> None:
    wall = Micros(100 * S)
    stretches = settled(look((), 500.0, 10.0), "m", wall_us=wall, now=Seconds(30.0), last=2)
    rows = (row(1, 500.0), row(2, 519.0), row(3, 510.0))
    assert told(stretches, *rows) == (Redated(first=1, last=2, by_us=-420 * S),)


def test_a_clock_below_the_floor_is_doubtful_where_its_boot_ended_and_others_are_believed() -> None:
    stretches = look((), 100.0, 10.0, "o", behind=True)
    stretches = look(stretches, 200.0, 1.0)
    assert told(stretches, row(1, 150.0), row(2, 250.0)) == (Redated(first=1, last=1),)


def test_control_moves_once_what_it_is_told_to_and_keeps_what_nobody_knows() -> None:
    batch = Batch(
        lane="ledger",
        rows=(row(1, 100.0), row(2, 100.0), row(3, 100.0), Row(seq=4, damaged=1)),
        redated=(
            Redated(first=1, last=1, by_us=500 * S),
            Redated(first=2, last=2),
            Redated(first=4, last=4, by_us=1),
        ),
    )
    done = dated(batch, NOW)
    assert [each.usage and each.usage.at_us for each in done.rows] == [
        600 * S,
        100 * S,
        100 * S,
        None,
    ]
    assert done.end == batch.end
    assert done.redated == (Redated(first=2, last=2),)
    assert dated(done, NOW) == done


def test_no_date_is_moved_before_the_epoch_or_behind_the_present() -> None:
    rows = (row(1, 100.0), row(2, 100.0))
    moves = (Redated(first=1, last=1, by_us=-(1 << 70)), Redated(first=2, last=2, by_us=1 << 70))
    early, late = dated(Batch(lane="ledger", rows=rows, redated=moves), NOW).rows
    assert (early.usage.at_us, late.usage.at_us) == (0, NOW)

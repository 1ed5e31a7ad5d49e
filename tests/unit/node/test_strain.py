"""What others had of the processor."""

import pytest

from littoral.cost.terms import rivals_after, strain
from littoral.node.strain import Strain


def test_beside_a_busy_neighbour_work_takes_twice_as_long():
    assert strain(1.0, 0.0) == strain(7.0, 0.0) == 2.0
    assert strain(0.0, 0.0) == strain(-1.0, -1.0) == 1.0
    assert strain(0.0, 0.5) == 2.0
    assert strain(1.0, 1.0) == 10.0


def test_what_our_threads_waited_for_counts_while_they_press():
    assert strain(0.5, 0.0, held=2.0, pressing=1.0) == 2.0
    assert strain(0.75, 0.0, held=4.0, pressing=0.25) == 4.0
    assert strain(1.0, 0.0, held=1.0, pressing=0.0) == 2.0
    assert strain(1.0, 0.0, held=4.0, pressing=0.125) == 3.0
    assert strain(1.0, 0.0, rivals=3.0) == 4.0


def test_rivals_are_counted_by_what_they_take_of_a_core_that_we_want():
    rivals = 1.0
    for _ in range(60):
        rivals = rivals_after(rivals, 0.75, 4.0)  # three that want it whole
    assert rivals == pytest.approx(3.0, abs=0.02)
    for _ in range(60):
        rivals = rivals_after(rivals, 0.3, 1.0 / 0.7)  # one that wants three tenths of it
    assert rivals == pytest.approx(1.0, abs=0.02)
    assert rivals_after(2.0, 0.01, 1.01) == 2.0
    assert rivals_after(0.0, 0.99, 1e9) == pytest.approx(0.8)


def put(root, own, *, busy, idle, steal=0):
    (root / "proc/7").mkdir(parents=True, exist_ok=True)
    half = f"{busy // 2} 0 {busy - busy // 2} {idle} 0 0 0 {steal} 0 0"
    (root / "proc/stat").write_text(f"cpu  {half}\ncpu0 {half}\nintr 5 6\n")
    (root / "proc/7/stat").write_text(f"7 (an (odd) name) S {'0 ' * 10}{own} 0 0 0\n")


@pytest.mark.parametrize("cores", [(), (0,)])
def test_others_and_the_host_beneath_strain_us_and_we_do_not(tmp_path, cores):
    reader = Strain(tmp_path, cores)
    put(tmp_path, 100, busy=1000, idle=1000)
    assert reader.read([7]) == 1.0
    put(tmp_path, 200, busy=1100, idle=1100)
    assert reader.read([7]) == 1.0
    put(tmp_path, 200, busy=1200, idle=1200)
    assert reader.read([7]) == pytest.approx(1.5)
    put(tmp_path, 200, busy=1200, idle=1250, steal=50)
    assert reader.read([7]) == pytest.approx(2.0)


def wait(root, thread, ran_ms, waited_ms):
    (root / f"proc/7/task/{thread}").mkdir(parents=True, exist_ok=True)
    figures = f"{ran_ms * 1_000_000} {waited_ms * 1_000_000} 5\n"
    (root / f"proc/7/task/{thread}/schedstat").write_text(figures)


def test_threads_that_waited_as_long_as_they_ran_were_held_up_twice_as_long(tmp_path):
    reader = Strain(tmp_path, (0,))
    put(tmp_path, 100, busy=1000, idle=1000)
    wait(tmp_path, 7, 1000, 0)
    reader.read([7])
    put(tmp_path, 110, busy=1040, idle=1000)  # four tenths of a second: we had a quarter of it
    wait(tmp_path, 7, 1100, 300)
    wait(tmp_path, 8, 5, 5)
    assert reader.read([7]) == pytest.approx(4.0)
    put(tmp_path, 110, busy=1080, idle=1000)  # idle ourselves, beside more than one who want it
    assert reader.read([7]) == pytest.approx(1.0 + 1.0 + 0.1 * 2.0)


def test_a_process_that_is_new_or_gone_counts_as_nothing(tmp_path):
    reader = Strain(tmp_path)
    put(tmp_path, 100, busy=1000, idle=1000)
    reader.read([7])
    put(tmp_path, 150, busy=1100, idle=1100)
    assert reader.read([8]) == pytest.approx(1.5)


def test_a_host_that_says_nothing_strains_nothing(tmp_path):
    reader = Strain(tmp_path)
    assert (reader.read([7]), reader.read([7])) == (1.0, 1.0)

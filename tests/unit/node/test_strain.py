"""What others had of the processor."""

import pytest

from littoral.cost.terms import strain
from littoral.node.strain import Strain


def test_beside_a_busy_neighbour_work_takes_twice_as_long():
    assert strain(1.0, 0.0) == strain(7.0, 0.0) == 2.0
    assert strain(0.0, 0.0) == strain(-1.0, -1.0) == 1.0
    assert strain(0.0, 0.5) == 2.0
    assert strain(1.0, 1.0) == 10.0


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


def test_a_process_that_is_new_or_gone_counts_as_nothing(tmp_path):
    reader = Strain(tmp_path)
    put(tmp_path, 100, busy=1000, idle=1000)
    reader.read([7])
    put(tmp_path, 150, busy=1100, idle=1100)
    assert reader.read([8]) == pytest.approx(1.5)


def test_a_host_that_says_nothing_strains_nothing(tmp_path):
    reader = Strain(tmp_path)
    assert (reader.read([7]), reader.read([7])) == (1.0, 1.0)

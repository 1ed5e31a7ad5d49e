"""What the host's files say, on hosts of every kind."""

import os
from pathlib import Path

import pytest

from littoral.node.machine import Host

MEMINFO = "MemTotal:       1000 kB\nMemFree: 10 kB\nMemAvailable:    600 kB\nHugePages_Total: 0\n"


def host(root: Path, files: dict[str, str]) -> Host:
    for name, text in ({"proc/meminfo": MEMINFO} | files).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Host(root)


def test_without_limits_memory_is_what_the_kernel_says(tmp_path: Path) -> None:
    machine = host(tmp_path, {}).read()
    assert (machine.memory, machine.memory_free) == (1000 * 1024, 600 * 1024)


def test_the_tightest_limit_of_the_control_groups_counts(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/a/b\n",
        "sys/fs/cgroup/a/b/memory.max": "max\n",
        "sys/fs/cgroup/a/memory.max": "204800\n",
        "sys/fs/cgroup/a/memory.current": "104800\n",
        "sys/fs/cgroup/a/memory.stat": "anon 5\ninactive_file 50000\n",
    }
    machine = host(tmp_path, files).read()
    assert machine.memory == 204_800
    assert machine.memory_free == 204_800 - (104_800 - 50_000)


def test_the_older_kind_of_control_group_counts_too(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:memory:/box\n1:cpu,cpuacct:/box\n",
        "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "204800\n",
        "sys/fs/cgroup/memory/box/memory.usage_in_bytes": "4800\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us": "100000\n",
        "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
    }
    machine = host(tmp_path, files).read()
    assert (machine.memory, machine.memory_free, machine.cores) == (204_800, 200_000, 1)


def test_cores_are_those_this_process_may_use(tmp_path: Path) -> None:
    assert 1 <= host(tmp_path, {}).read().cores <= len(os.sched_getaffinity(0))


def test_two_threads_of_one_core_are_one_core(tmp_path: Path) -> None:
    files = {
        f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list": "0-99\n"
        for number in os.sched_getaffinity(0)
    }
    assert host(tmp_path, files).read().cores == 1


def test_a_quota_below_one_core_is_still_one(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "10000 100000\n"}
    assert host(tmp_path, files).read().cores == 1


@pytest.mark.parametrize(
    ("shares", "contended"),
    [((5.0,), [False]), ((11.0, 5.0, 1.0), [True, True, False]), ((), [])],
)
def test_pressure_must_be_high_to_begin_and_low_to_end(
    tmp_path: Path, shares: tuple[float, ...], contended: list[bool]
) -> None:
    reader = host(tmp_path, {})
    assert not reader.read().contended
    found = []
    for share in shares:
        host(tmp_path, {"proc/pressure/cpu": f"some avg10=0.00 avg60={share:.2f} avg300=0.00\n"})
        found.append(reader.read().contended)
    assert found == contended


def test_this_very_host_can_be_read() -> None:
    machine = Host().read()
    assert machine.cores >= 1
    assert 0 < machine.memory_free <= machine.memory

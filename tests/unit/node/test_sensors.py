"""What sensors say, on machines that have them, and silence on those that do not."""

import os
from pathlib import Path

import pytest

from littoral.domain.node import Reading
from littoral.node.sensors import Sensors

ZONE = "sys/class/thermal/thermal_zone"
COOLER = "sys/class/thermal/cooling_device"


@pytest.fixture
def read(tmp_path):
    """Readings of a machine that has these files."""
    folder = tmp_path / "data"
    folder.mkdir()
    sensors = Sensors(str(folder), tmp_path)

    def read(files: dict[str, str]) -> Reading:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return sensors.read()

    return read


def test_a_machine_without_sensors_has_a_disk_and_nothing_else(read) -> None:
    found = read({})
    assert found.disk_used is not None
    assert 0 < found.disk_used <= 1
    assert found == Reading(disk_used=found.disk_used)


def test_the_margin_is_that_of_the_zone_nearest_to_its_lowest_bound(read) -> None:
    found = read(
        {
            f"{ZONE}0/temp": "61000\n",
            f"{ZONE}0/trip_point_0_type": "critical\n",
            f"{ZONE}0/trip_point_0_temp": "105000\n",
            f"{ZONE}0/trip_point_1_type": "passive\n",
            f"{ZONE}0/trip_point_1_temp": "95000\n",
            f"{ZONE}0/trip_point_2_type": "active\n",
            f"{ZONE}0/trip_point_2_temp": "50000\n",
            f"{ZONE}1/temp": "70500\n",
            f"{ZONE}2/temp": "40000\n",
            f"{ZONE}2/trip_point_0_type": "hot\n",
            f"{ZONE}2/trip_point_0_temp": "0\n",
        }
    )
    assert (found.hottest_c, found.margin_c) == (70.5, 34.0)


@pytest.mark.parametrize("text", ["-274000\n", "999000\n", "warm\n", ""])
def test_a_sensor_that_cannot_be_right_is_left_out(read, text) -> None:
    assert read({f"{ZONE}0/temp": text}).hottest_c is None


def test_throttle_counts_are_summed_and_a_cooling_processor_is_seen(read) -> None:
    core = "sys/devices/system/cpu/cpu"
    files = {
        f"{core}0/thermal_throttle/core_throttle_count": "3\n",
        f"{core}1/thermal_throttle/core_throttle_count": "4\n",
        f"{core}1/thermal_throttle/core_throttle_max_time_ms": "400\n",
        f"{COOLER}0/type": "Fan\n",
        f"{COOLER}0/cur_state": "1\n",
        f"{COOLER}1/type": "thermal-cpufreq-0\n",
        f"{COOLER}1/cur_state": "0\n",
    }
    found = read(files)
    assert (found.throttles, found.cooling) == (7, False)
    assert read({f"{COOLER}1/cur_state": "2\n"}).cooling is True


def test_memory_waits_and_kills_are_those_of_the_nearest_group(read) -> None:
    found = read(
        {
            "proc/pressure/memory": "some avg10=1.00 avg60=12.50 total=9\nfull avg60=1\n",
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/memory.events": "low 0\noom 5\noom_kill 2\n",
            "sys/fs/cgroup/a/memory.events": "oom_kill 9\n",
            "proc/vmstat": "oom_kill 77\n",
        }
    )
    assert (found.memory_waits, found.kills) == (12.5, 2)


def test_without_groups_the_whole_machine_counts(read) -> None:
    found = read({"proc/pressure/memory": "nothing\n", "proc/vmstat": "pgfault 1\noom_kill 4\n"})
    assert (found.memory_waits, found.kills) == (None, 4)
    assert read({"proc/pressure/memory": "some avg60=x\n"}).memory_waits is None


def test_errors_are_those_of_the_data_folders_file_system_and_device(read, tmp_path) -> None:
    device = (tmp_path / "data").stat().st_dev
    place = tmp_path / f"sys/dev/block/{os.major(device)}:{os.minor(device)}"
    real = tmp_path / "sys/devices/disk/block/sda1"
    (real / "device").mkdir(parents=True)
    place.parent.mkdir(parents=True)
    place.symlink_to(real)
    (real / "device/ioerr_cnt").write_text("0x1f\n")
    assert read({"sys/fs/ext4/sda1/errors_count": "2\n"}).io_errors == 33


def test_load_is_what_was_not_idle_since_the_last_reading(read) -> None:
    assert read({"proc/stat": "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1\n"}).busy is None
    assert read({"proc/stat": "cpu  150 0 150 800 100 0 0 0 0 0\n"}).busy == pytest.approx(0.5)
    assert read({"proc/stat": "cpu  150 0 150 800 100 0 0 0 0 0\n"}).busy is None
    assert read({"proc/stat": "cpu 1\n"}).busy is None


def test_a_folder_that_is_gone_has_no_disk(tmp_path) -> None:
    found = Sensors(str(tmp_path / "gone"), Path(tmp_path)).read()
    assert (found.disk_used, found.io_errors, found.read_only) == (None, None, False)

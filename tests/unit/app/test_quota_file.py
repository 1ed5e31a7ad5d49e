"""The quota table's file: shared by processes, locked by one, freed by a death."""

import select
import signal
import subprocess
import sys
from pathlib import Path

from littoral.app.quota_file import NODE, boot, quota_file
from littoral.app.settings import Settings
from littoral.domain.quota import ROWS, table_bytes

INSIDE = """
import sys
from littoral.app.quota_file import quota_file
from littoral.app.settings import Settings
with quota_file(Settings(data_dir=sys.argv[1], gateway_workers=2), mine=2) as table:
    table.acquire()
    table.begin([3], 7, opening=True)
    table.reserve(3, 5, 50)
    print("inside", flush=True)
    sys.stdin.read()
"""


def settings(tmp_path, **fields) -> Settings:
    tmp_path.joinpath("run").mkdir(exist_ok=True)
    return Settings(data_dir=str(tmp_path), **fields)


def test_a_gateway_alone_has_no_lock_and_several_have_one(tmp_path):
    with quota_file(settings(tmp_path), mine=NODE) as table:
        assert not table.shared
    with quota_file(settings(tmp_path, gateway_workers=2), mine=NODE) as table:
        assert table.shared
    assert (tmp_path / "run/quota").stat().st_size == table_bytes(3, ROWS)


def test_what_is_counted_outlives_the_process_and_columns_only_grow(tmp_path):
    with quota_file(settings(tmp_path, gateway_workers=3), mine=NODE) as table:
        table.spend(4, 99)
    with quota_file(settings(tmp_path), mine=NODE) as table:
        assert table.taken(4) == 99
    assert (tmp_path / "run/quota").stat().st_size == table_bytes(4, ROWS)


def test_a_table_of_another_layout_is_emptied_and_costs_no_memory(tmp_path):
    path = tmp_path / "run/quota"
    given = settings(tmp_path)
    path.write_bytes(b"\1" * table_bytes(2, ROWS))
    with quota_file(given, mine=NODE) as table:
        assert not any(table.words[table.at(ROWS - 1) : table.at(ROWS - 1) + 16])
        assert table.top == 0
        resident = 0
    with quota_file(given, mine=NODE) as table:
        for line in Path("/proc/self/smaps").read_text("ascii").split(str(path))[-1].splitlines():
            if line.startswith("Rss:"):
                resident = int(line.split()[1])
                break
        assert resident <= 64
        assert table.top == 0


def test_the_lock_of_a_process_that_is_killed_is_free_and_its_half_section_undone(tmp_path):
    given = settings(tmp_path, gateway_workers=2)
    with quota_file(given, mine=NODE) as table:
        command = [sys.executable, "-c", INSIDE, str(tmp_path)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, **pipes) as other:
            assert select.select([other.stdout], [], [], 15)[0]
            assert other.stdout.readline() == b"inside\n"
            assert not table.attempt()
            assert (table.owner, table.under_way(3)) == (2, 1)
            other.send_signal(signal.SIGKILL)
            other.wait()
        assert table.attempt()
        assert (table.under_way(3), table.taken(3)) == (0, 0)
        table.leave()


def test_a_boot_has_a_number_that_stays():
    assert boot() == boot() > 0

"""What a role is handed, and what it says when it cannot run."""

import io
import os
import sys

import pytest

from littoral.app import flight_file as flight_files
from littoral.app.flight_file import PLACE, flight_file
from littoral.app.handed import FAILED, REFUSED, failed, handed, line_for
from littoral.app.settings import Settings
from littoral.domain.errors import Busy, InvalidInput, NewerData, StorageFull, Unavailable
from littoral.domain.flight import SLOT_BYTES


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def test_settings_and_descriptors_arrive_as_they_were_sent(monkeypatch) -> None:
    settings = Settings(data_dir="/data", port=1, restart_max_s=0.5)
    line = line_for(settings, {"listen": 7})
    assert line.count(b"\n") == 1
    monkeypatch.setattr(sys, "stdin", Stdin(line + b"more"))
    given = handed()
    assert (given.settings, given.descriptors) == (settings, {"listen": 7})


@pytest.mark.parametrize(
    "data", [b"", b"hello\n", b"{}\n", b'{"settings": 1, "descriptors": {}}\n']
)
def test_a_role_started_by_hand_says_how_to_start(monkeypatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(data))
    with pytest.raises(InvalidInput, match=r"littoral up|settings"):
        handed()


@pytest.mark.parametrize(
    ("error", "code"),
    [(InvalidInput("no"), REFUSED), (NewerData("no"), REFUSED), (Unavailable("no"), FAILED)],
)
def test_only_what_would_fail_again_is_not_restarted(capsys, error, code: int) -> None:
    assert failed(error) == code
    assert capsys.readouterr().err == "no\n"


def test_the_flight_table_outlives_its_writer_and_never_shrinks(tmp_path) -> None:
    (tmp_path / "run").mkdir()
    big = Settings(data_dir=str(tmp_path), flight_slots=128)
    with flight_file(big) as table:
        assert len(table) == 128 * SLOT_BYTES
        table[127 * SLOT_BYTES] = 2
        del table
    small = Settings(data_dir=str(tmp_path), flight_slots=64)
    with flight_file(small) as table:
        assert len(table) == 128 * SLOT_BYTES
        assert table[127 * SLOT_BYTES] == 2
        del table
    assert (tmp_path / PLACE.format(0)).stat().st_mode & 0o777 == 0o600


def test_a_node_does_not_read_the_table_while_an_earlier_gateway_may_write(
    tmp_path, monkeypatch
) -> None:
    (tmp_path / "run").mkdir()
    settings = Settings(data_dir=str(tmp_path), flight_slots=64)
    monkeypatch.setattr(flight_files, "WAIT", 0.0)
    with flight_file(settings) as table:
        with flight_file(settings, writer=True) as same:
            same[0] = 1
            with pytest.raises(Busy), flight_file(settings):
                pass
            del same
        with flight_file(settings) as later:
            assert (table[0], later[0]) == (1, 1)
            del later
        del table


def test_a_flight_table_without_room_on_the_disk_is_refused(tmp_path, monkeypatch) -> None:
    (tmp_path / "run").mkdir()

    def no_room(*_args: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    settings = Settings(data_dir=str(tmp_path), flight_slots=64)
    with pytest.raises(StorageFull, match="flight table"), flight_file(settings):
        pass


def test_every_block_of_a_new_flight_table_is_there(tmp_path) -> None:
    (tmp_path / "run").mkdir()
    with flight_file(Settings(data_dir=str(tmp_path), flight_slots=64)):
        assert (tmp_path / PLACE.format(0)).stat().st_blocks * 512 >= 64 * SLOT_BYTES

"""What a role is handed, and what it says when it cannot run."""

import io
import sys

import pytest

from littoral.app.flight_file import PLACE, flight_file
from littoral.app.handed import FAILED, REFUSED, failed, handed, line_for
from littoral.app.settings import Settings
from littoral.domain.errors import InvalidInput, NewerData, Unavailable
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
    assert (tmp_path / PLACE).stat().st_mode & 0o777 == 0o600

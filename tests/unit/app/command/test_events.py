"""What a node wrote down itself is shown where control is out of reach, and says so."""

import json

import pytest

from littoral.app.command.events import Only, events, kept
from littoral.app.command.reach import Reach
from littoral.app.settings import Settings
from littoral.domain.errors import InvalidInput

ROWS = [
    {
        "at_us": 1_000_000,
        "level": "info",
        "subject": "node",
        "code": "node_started",
        "message": "a",
    },
    {"at_us": 2_000_000, "level": "error", "subject": "disk", "code": "disk_full", "message": "b"},
]


@pytest.fixture
def settings(tmp_path) -> Settings:
    (tmp_path / "events.json").write_text(json.dumps(ROWS))
    return Settings(data_dir=str(tmp_path))


@pytest.mark.parametrize(
    ("only", "after", "codes"),
    [
        (Only(), 0, ["node_started", "disk_full"]),
        (Only(), 1_000_000, ["disk_full"]),
        (Only(level="info"), 0, ["node_started"]),
        (Only(code="disk_full"), 0, ["disk_full"]),
        (Only(code="disk."), 0, []),
    ],
)
def test_only_what_was_asked_for_is_shown(settings, only, after, codes) -> None:
    assert [each.event.code for each in kept(settings, only, after)] == codes


def test_a_diary_that_is_not_there_or_not_readable_is_empty(settings, tmp_path) -> None:
    (tmp_path / "events.json").write_text("[{")
    assert list(kept(settings, Only(), 0)) == []
    (tmp_path / "events.json").unlink()
    assert list(kept(settings, Only(), 0)) == []


@pytest.mark.usefixtures("settings")
def test_a_joined_machine_without_a_word_of_control_shows_its_own(tmp_path, capsys):
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity/identity.json").write_text("{}")
    events(reach=Reach(data_dir=tmp_path))
    told = capsys.readouterr()
    assert "(disk_full)" in told.out
    assert "not running" in told.err
    events(local=True, reach=Reach(data_dir=tmp_path, json=True))
    assert json.loads(capsys.readouterr().out)["local"] is True


def test_what_is_local_is_not_asked_of_another_machine() -> None:
    with pytest.raises(InvalidInput, match="--local"):
        events(local=True, reach=Reach(url="http://127.0.0.1:1", key="k"))

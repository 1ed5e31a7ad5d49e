import os
import socket

import pytest

from certificates import write_pair
from littoral.app.command.checkup import Finding, examine
from littoral.app.command.doctor import report
from littoral.app.settings import load


def findings(tmp_path, **flags):
    settings = load({"data_dir": str(tmp_path / "data"), **flags}, {})
    return {found.subject: found for found in examine(settings)}


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_fresh_machine_may_start(tmp_path):
    found = findings(tmp_path, port=0)
    assert found["data folder"].level == "ok"
    assert "will be made" in found["data folder"].value
    assert found["port"].level == "ok"
    assert {"sqlite", "python", "open files", "memory", "disk", "engine fake"} <= set(found)


def test_a_taken_port_is_bad_and_says_what_to_do(tmp_path, taken):
    found = findings(tmp_path, port=taken)["port"]
    assert found.level == "bad"
    assert "--port" in found.advice


def test_a_certificate_is_looked_at_with_its_key(tmp_path):
    good = str(write_pair(tmp_path))
    key = str(tmp_path / "key.pem")
    assert findings(tmp_path, tls_certificate=good, tls_key=key)["certificate"].level == "ok"
    assert findings(tmp_path, tls_certificate=key, tls_key=key)["certificate"].level == "bad"


def test_a_folder_that_others_may_read_is_bad(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    found = findings(tmp_path, port=0)["data folder"]
    assert (found.level, found.advice) == (
        "bad",
        f"others may read keys and usage: chmod 700 {folder}",
    )
    folder.chmod(0o700)
    assert findings(tmp_path, port=0)["data folder"].level == "ok"


def test_data_from_the_future_shows_that_the_clock_went_back(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    file = folder / "control.db"
    file.touch()
    os.utime(file, (4_000_000_000, 4_000_000_000))
    assert findings(tmp_path, port=0)["clock"].level == "warn"


def test_the_command_ends_with_1_when_something_is_bad(run, tmp_path, taken):
    words = ["doctor", "--data-dir", str(tmp_path / "data")]
    good, bad = run(*words), None
    assert good.status == 0 or "BAD" in good.out
    (tmp_path / "config" / "littoral").mkdir(parents=True)
    (tmp_path / "config" / "littoral" / "littoral.toml").write_text(f"port = {taken}\n")
    bad = run(*words)
    assert bad.status == 1
    assert "must be mended" in bad.out
    levels = {each["subject"]: each["level"] for each in run(*words, "--json").json["findings"]}
    assert levels["port"] == "bad"


def test_advice_stands_under_its_finding():
    lines = report(
        [
            Finding(level="ok", subject="a", value="1"),
            Finding(level="bad", subject="longer", value="2", advice="do this"),
        ]
    )
    assert lines == ["ok    a       1", "BAD   longer  2", "      -> do this"]

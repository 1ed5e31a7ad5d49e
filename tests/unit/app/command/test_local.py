import os

import pytest

from littoral.app.command import local, probe
from littoral.app.command.hints import command, curl, program
from littoral.app.settings import load


def settings(tmp_path):
    return load({"data_dir": str(tmp_path)}, {})


def test_this_process_has_memory_and_an_age():
    me = os.getpid()
    assert local.alive(me)
    assert local.uptime(me) > 0
    assert local.memory(me) > 1_000_000


def test_a_process_that_is_not_there_has_none():
    nobody = 2**22 + 1
    assert not local.alive(nobody)
    assert local.uptime(nobody) is None
    assert local.memory(nobody) is None


def test_a_child_that_ended_is_not_alive_before_it_is_waited_for():
    child = os.posix_spawnp("true", ["true"], {})
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert not local.alive(child)
    os.waitpid(child, 0)


def test_an_empty_data_folder_runs_nothing(tmp_path):
    assert local.running(settings(tmp_path)) is None


def test_nobody_answers_on_a_closed_port():
    assert probe.answers("http://127.0.0.1:9", "/readyz") is None


def test_a_server_s_status_is_told(stand_in):
    stand_in.on("GET /readyz", None)
    assert probe.answers(stand_in.url, "/readyz") == 200


@pytest.mark.parametrize(
    ("argv0", "found", "told"),
    [
        ("/usr/bin/littoral", "/usr/bin/littoral", "littoral"),
        ("/srv/.venv/bin/littoral", "/usr/bin/littoral", "/srv/.venv/bin/littoral"),
        ("/srv/my venv/bin/littoral", None, "'/srv/my venv/bin/littoral'"),
        ("/srv/littoral/__main__.py", None, "/usr/bin/python3 -m littoral"),
    ],
)
def test_the_program_is_called_again_as_it_was(argv0, found, told):
    assert program(argv0, "/usr/bin/python3", found=found) == told


def test_a_usual_data_folder_need_not_be_told_and_another_must(tmp_path):
    usual = {"LITTORAL_DATA_DIR": str(tmp_path)}
    assert command("down", settings(tmp_path), usual).endswith(" down")
    assert command("down", settings(tmp_path), {}).endswith(f" down --data-dir {tmp_path}")


def test_the_curl_line_reads_the_key_from_its_file(tmp_path):
    line = curl("http://127.0.0.1:1", tmp_path / "a b", "it's")
    assert f"$(cat '{tmp_path}/a b')" in line
    assert line.startswith("curl http://127.0.0.1:1/v1/chat/completions ")
    assert '"temperature": 0' in line


def test_the_curl_line_trusts_the_certificate_that_is_shown(tmp_path):
    line = curl("https://127.0.0.1:1", tmp_path / "key", "m", certificate="/etc/a b.pem")
    assert line.startswith("curl --cacert '/etc/a b.pem' https://127.0.0.1:1/")

"""littoral up: from an empty folder to an answer, through deaths and restarts of every part."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

PACKAGES = str(Path(__file__).resolve().parents[2] / "src")

pytestmark = pytest.mark.timeout(120)

SUPERVISE = """
import sys
from littoral.app import settings, supervisor, system
given = {"data_dir": sys.argv[1], "port": int(sys.argv[2])}
supervisor.run(settings.load(given, system.environment()))
"""
HELLO = {"messages": [{"role": "user", "content": "hello there"}], "max_tokens": 12}


def chat(site, model: str = "echo", **more: object):
    return site.request("POST", "/v1/chat/completions", HELLO | {"model": model} | more)


def stream(site, model: str = "echo", **more: object) -> list[str]:
    """The data of each event."""
    body = HELLO | {"model": model, "stream": True, "stream_options": {"include_usage": True}}
    with site.open("POST", "/v1/chat/completions", body | more) as reply:
        assert reply.status == 200
        lines = reply.read().decode().splitlines()
    return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


def booked(site) -> int:
    """Output tokens in the ledger."""
    status, answer = site.request("GET", "/api/v1/usage?by=model")
    assert status == 200
    return sum(row["tokens_out"] for row in answer["rows"])


def refusal(*, data_dir: str, port: int) -> str:
    """What a second instance says; it must not start."""
    command = [sys.executable, "-c", SUPERVISE, data_dir, str(port)]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("LITTORAL_")}
    done = subprocess.run(
        command,
        env=environ | {"PYTHONPATH": PACKAGES},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    return done.stderr.decode()


@pytest.fixture
def echo(lasting):
    """A site with a fake model, whole again whatever happened to it."""
    lasting.wait_for(lambda: lasting.ready() and lasting.serves("echo"), "the site to be whole")
    return lasting


def test_an_answer_a_stream_and_their_tokens_in_the_ledger(echo):
    spent: dict[str, tuple[int, int]] = {}
    for streamed in (False, True):
        body = HELLO | {"model": "echo", "stream": streamed}
        body |= {"stream_options": {"include_usage": True}} if streamed else {}
        with echo.open("POST", "/v1/chat/completions", body) as reply:
            assert reply.status == 200
            text = reply.read().decode()
        if streamed:
            events = text.split("\n\n")
            assert events[-2] == "data: [DONE]"
            text = events[-3].removeprefix("data: ")
        usage = json.loads(text)["usage"]
        request = reply.headers["x-request-id"]
        spent[request] = (usage["prompt_tokens"], usage["completion_tokens"])
    for request, tokens in spent.items():
        echo.wait_for(lambda name=request: records(echo, name), f"the record of {request}")
        (record,) = records(echo, request)
        assert (record["tokens_in"], record["tokens_out"]) == tokens
        assert record["status"] == "ok"


def records(site, request: str) -> list:
    """What the ledger has of one request."""
    status, answer = site.request("GET", f"/api/v1/requests/{request}")
    return answer["records"] if status == 200 else []


def booked_after(site, least: int) -> int:
    """Tokens in the ledger once the probes of ``deploy`` are in it."""
    site.wait_for(lambda: booked(site) >= least, "the first record")
    return booked(site)


def test_everything_it_keeps_is_for_its_owner_only(echo):
    folder = echo.data_dir
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in (
        "admin.key",
        "master.key",
        "snapshot/a.snap",
        "run/control.sock",
        "run/session.sock",
    ):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600, name


@pytest.mark.parametrize("role", ["gateway", "engine", "node", "control"])
def test_a_killed_process_comes_back_and_nothing_is_forgotten(echo, role):
    before = booked_after(echo, 1)
    _, answer = chat(echo)
    spent = answer["usage"]["completion_tokens"]
    dead = echo.kill(role)
    assert dead

    def replaced() -> bool:
        found = echo.processes()
        return dead not in found.values() and any(name.startswith(role) for name in found)

    echo.wait_for(replaced, f"a new {role}")
    echo.wait_for(lambda: echo.ready() and echo.serves("echo"), f"life after {role}")
    echo.wait_for(lambda: booked(echo) >= before + spent, "the ledger to have it")


def test_a_status_that_cannot_be_written_ends_nothing(echo):
    before = echo.processes()
    part = echo.data_dir / "run/status.part"
    part.mkdir()
    os.kill(before["control"], signal.SIGKILL)
    echo.wait_for(lambda: echo.answers("/api/v1/status"), "control to come back")
    assert chat(echo)[0] == 200
    part.rmdir()
    echo.wait_for(lambda: echo.processes()["control"] != before["control"], "a true status")
    assert echo.processes()["supervisor"] == before["supervisor"]


def test_inference_goes_on_without_control(echo):
    control = echo.processes()["control"]
    os.kill(control, signal.SIGSTOP)
    try:
        assert chat(echo)[0] == 200
        assert stream(echo)[-1] == "[DONE]"
    finally:
        os.kill(control, signal.SIGCONT)


def test_a_restart_keeps_everything(echo):
    booked_after(echo, 1)
    key = echo.key
    assert echo.stop() == 0
    echo.start()
    echo.wait_for(lambda: echo.serves("echo"), "the deployment to be back")
    assert echo.key == key
    assert booked(echo) >= 1


def test_an_open_stream_ends_whole_before_a_stop(echo):
    echo.deploy("slow", engine="fake", model="slow", options={"tpot_ms": 30})
    events: list[str] = []
    began = threading.Event()

    def read() -> None:
        body = HELLO | {"model": "slow", "stream": True, "max_tokens": 30}
        with echo.open("POST", "/v1/chat/completions", body) as reply:
            events.append(reply.readline().decode())
            began.set()
            events.append(reply.read().decode())

    reader = threading.Thread(target=read)
    reader.start()
    began.wait(30)
    assert echo.stop() == 0
    reader.join(30)
    echo.start()
    assert events[-1].rstrip().endswith("[DONE]")


def test_a_second_instance_on_the_same_folder_is_refused(echo):
    said = refusal(data_dir=str(echo.data_dir), port=0)
    assert f"another instance (pid {echo.processes()['supervisor']})" in said
    assert echo.serves("echo")


def test_a_taken_port_is_refused_by_its_number(echo, tmp_path):
    said = refusal(data_dir=str(tmp_path / "other"), port=echo.port)
    assert str(echo.port) in said
    assert "--port" in said


def test_a_folder_of_a_newer_version_is_refused(tmp_path):
    (tmp_path / "format").write_text("999\n")
    assert "newer version" in refusal(data_dir=str(tmp_path), port=0)


def test_a_disk_that_takes_no_status_stops_nothing(echo):
    before = echo.processes()["gateway"]
    in_the_way = echo.data_dir / "run/status.part"
    in_the_way.mkdir()
    echo.kill("gateway")
    echo.wait_for(lambda: echo.serves("echo"), "the gateway to be back")
    assert echo.processes()["gateway"] == before
    in_the_way.rmdir()
    echo.wait_for(lambda: echo.processes()["gateway"] != before, "the status to be true again")


def test_the_death_of_the_supervisor_ends_everything_and_a_new_one_starts(echo):
    pids = echo.processes()
    os.kill(pids["supervisor"], signal.SIGKILL)
    echo.stop()
    echo.start()
    echo.wait_for(lambda: echo.serves("echo"), "the deployment to be back")
    assert not set(pids.values()) & set(echo.processes().values())

"""``littoral bench`` with its real workers: against a whole site, and a service with faults."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading

import anyio
import msgspec
import pytest

from e2e.conftest import PACKAGES
from littoral.app.bench.arrival import Arrival
from littoral.app.bench.crew import Crew
from littoral.app.bench.prompt import Scale
from littoral.app.bench.result import Plan
from littoral.app.bench.run import Wish, tasks
from littoral.app.bench.trace import read
from littoral.app.system import SystemClock

EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n'
LAST = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BUSY = b'HTTP/1.1 429 Too Many\r\nContent-Length: 16\r\n\r\n{"error":"busy"}'


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


GOOD = STREAM + chunk(EVENT) + chunk(EVENT) + chunk(LAST) + b"0\r\n\r\n"
BROKEN = STREAM + chunk(EVENT) + b"0\r\n\r\n"


class Service:
    """Answers each request as ``manner`` says: a word for each, the last one for ever."""

    def __init__(self, *manner):
        self.manner = list(manner)
        self.bodies, self.connections = [], 0
        self._up, self._thread = threading.Event(), threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._up.wait(10)

    def _run(self):
        asyncio.run(self._serve())

    async def _serve(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._up.set()
        await self._stop.wait()
        server.close()
        talks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await server.wait_closed()
        for _ in range(3):
            await asyncio.sleep(0)  # aborted transports close their sockets

    def close(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _talk(self, reader, writer):
        self.connections += 1
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._one(reader, writer):
                    pass
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _one(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].split()[0])
        self.bodies.append(json.loads(await reader.readexactly(size)))
        word = self.manner.pop(0) if len(self.manner) > 1 else self.manner[0]
        return await self._answer(word, reader, writer)

    async def _answer(self, word, reader, writer):
        if word == "hang":
            await reader.read(1)
            return False
        if word == "drop":
            return False
        told = {"good": GOOD, "last": GOOD, "busy": BUSY, "broken": BROKEN, "noise": b"hello\r\n"}
        writer.write(told.get(word, STREAM + chunk(EVENT)))
        await writer.drain()
        return word in {"good", "busy", "broken"}


@pytest.fixture
def serve():
    """Start services; all are stopped afterwards."""
    made = []

    def start(*manner):
        made.append(Service(*manner))
        return made[-1]

    yield start
    for each in made:
        each.close()


def crew_of(url, *, count=12, rate=100.0, workers=1, timeout=10.0, clients=0, most=100):
    plan = Plan(
        url=url,
        endpoint="chat",
        model="m",
        stream=True,
        arrivals="closed" if clients else "constant",
        rate=rate,
        duration=count / rate,
        requests=count,
        seed=1,
        workers=workers,
        tokens_in="5",
        tokens_out="2",
        timeout=timeout,
        clients=clients,
    )
    moments = [Arrival(at=n / rate, tokens_in=5, tokens_out=2) for n in range(count)]
    wish = Wish(plan=plan, arrivals=moments, scale=Scale(), key="secret")
    made = [msgspec.structs.replace(task, most_in_flight=most) for task in tasks(wish)]
    return Crew(made, clock=SystemClock())


async def until(happened):
    """Look again and again until it has happened; the test's timeout ends it."""
    while not happened():  # noqa: ASYNC110  it happens in other processes
        await anyio.sleep(0.02)


def measured(crew):
    anyio.run(crew.run)
    return sorted(crew.harvest.rows, key=lambda row: row.index)


@pytest.mark.timeout(60)
def test_every_request_of_a_schedule_is_sent_once_and_stamped_in_order(serve):
    service = serve("good")
    rows = measured(crew_of(service.url, workers=2))
    assert [row.index for row in rows] == list(range(12))
    assert {row.kind for row in rows} == {"ok"}
    assert all(row.at <= row.sent <= row.first <= row.last for row in rows)
    assert {(row.tokens_in, row.tokens_out, row.counted) for row in rows} == {(7, 2, True)}
    assert len({body["messages"][0]["content"] for body in service.bodies}) == 12


@pytest.mark.timeout(60)
def test_each_failure_has_its_kind_and_the_rest_goes_on(serve):
    manner = ("good", "busy", "broken", "cut", "noise", "hang", "good")
    rows = measured(crew_of(serve(*manner).url, count=8, rate=4.0, timeout=1.0))
    kinds = sorted(row.kind for row in rows)
    lost = ["connection lost"] * 2
    assert kinds == ["bad answer", *lost, "http 429", *["ok"] * 3, "timeout"]
    told = {row.kind: row.detail for row in rows}
    assert "busy" in told["http 429"]
    assert "[DONE]" in told["bad answer"]


@pytest.mark.timeout(60)
def test_a_connection_that_the_service_closed_while_idle_is_replaced(serve):
    service = serve("last")
    rows = measured(crew_of(service.url, count=6, rate=5.0))
    assert {row.kind for row in rows} == {"ok"}
    assert service.connections == 6


@pytest.mark.timeout(60)
def test_a_request_that_met_the_end_of_a_kept_connection_is_sent_again_once(serve):
    service = serve("good", "drop", "good")
    rows = measured(crew_of(service.url, count=4, rate=5.0))
    assert {row.kind for row in rows} == {"ok"}
    assert len(service.bodies) == 5
    assert service.connections == 2


@pytest.mark.timeout(60)
def test_a_new_connection_that_ends_without_an_answer_is_a_failure(serve):
    rows = measured(crew_of(serve("drop").url, count=2, rate=5.0))
    assert [row.kind for row in rows] == ["connection lost"] * 2


@pytest.mark.timeout(60)
def test_what_is_due_while_too_many_are_under_way_waits_and_its_clock_goes_on(serve):
    crew = crew_of(serve("hang").url, count=3, rate=50.0, timeout=0.4, most=1)
    rows = measured(crew)
    assert {row.kind for row in rows} == {"timeout"}
    assert rows[2].sent - rows[2].at > 0.5


@pytest.mark.timeout(60)
def test_nobody_there_is_a_failure_of_each_request():
    rows = measured(crew_of("http://127.0.0.1:1", count=4))
    assert {row.kind for row in rows} == {"no connection"}


@pytest.mark.timeout(60)
def test_a_closed_loop_sends_when_it_was_answered(serve):
    service = serve("good")
    rows = measured(crew_of(service.url, count=30, rate=0.5, clients=3))
    assert len(rows) == 30
    assert [row.index for row in rows] == list(range(30))
    assert service.connections <= 3


@pytest.mark.timeout(60)
def test_a_stop_keeps_what_was_measured_and_what_had_no_outcome(serve):
    crew = crew_of(serve("good", "good", "hang").url, count=6, rate=5.0)

    async def run():
        async with anyio.create_task_group() as group:
            group.start_soon(crew.run)
            await until(lambda: len(crew.harvest.rows) >= 2 and crew.harvest.flight >= 1)
            await crew.stop()

    anyio.run(run)
    kinds = [row.kind for row in crew.harvest.rows]
    assert kinds.count("ok") == 2
    assert kinds.count("unfinished") >= 1
    assert crew.harvest.stopped


@pytest.mark.timeout(60)
def test_a_worker_that_dies_is_said_and_the_run_ends(serve):
    crew = crew_of(serve("hang").url, count=2)

    async def run():
        async with anyio.create_task_group() as group:
            group.start_soon(crew.run)
            await until(lambda: crew.harvest.flight == 2)
            for pid in crew.pids:
                os.kill(pid, signal.SIGKILL)

    anyio.run(run)
    assert "ended before its time" in crew.harvest.lost


class Command:
    """``littoral bench run`` as people start it."""

    def __init__(self, site, *words, verb="run"):
        environ = {name: value for name, value in os.environ.items() if name != "LITTORAL_KEY"}
        environ |= {"PYTHONPATH": PACKAGES, "LANG": "C.UTF-8"}
        environ["LITTORAL_KEY_FILE"] = str(site.data_dir / "admin.key")
        url = f"http://127.0.0.1:{site.port}"
        command = [sys.executable, "-m", "littoral", "bench", verb, "--url", url, *words]
        self.process = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def end(self):
        out, err = self.process.communicate(timeout=50)
        return self.process.returncode, out, err


@pytest.mark.timeout(90)
def test_a_run_against_a_site_leaves_its_result_its_report_and_its_rows(lasting, tmp_path):
    files = {name: tmp_path / f"run.{name}" for name in ("json", "html", "jsonl")}
    words = ["--rate", "30", "--duration", "2s", "--slo", "ttft=5,e2e=9", "--tokens-in", "40-60"]
    words += ["--out", str(files["json"]), "--html", str(files["html"])]
    status, out, err = Command(lasting, *words, "--rows", str(files["jsonl"])).end()
    assert status in {0, 1}, err  # 1: this machine was too busy to measure, and it says so
    found = json.loads(files["json"].read_text())
    assert found["plan"]["model"] == "echo"
    assert found["counts"]["answered"] == found["counts"]["sent"] == found["plan"]["requests"]
    assert found["goodput"]["share"]["value"] > 0
    assert found["conditions"]["asked"]
    assert found["tokens"]["tokens_out"] > 0
    assert len(read(files["jsonl"].read_text(), name="x")) == found["counts"]["sent"]
    written = "".join([out, err, *(file.read_text() for file in files.values())])
    assert lasting.key not in written
    assert "<svg" in files["html"].read_text()
    assert (status == 1) == ("NOT VALID" in out)


@pytest.mark.timeout(90)
def test_an_interrupt_keeps_what_was_measured_and_says_that_it_is_partial(lasting, tmp_path):
    rows, before = tmp_path / "rows.jsonl", answered(lasting)
    words = ["--rate", "20", "--duration", "10m", "--rows", str(rows)]
    command = Command(lasting, *words)
    lasting.wait_for(lambda: answered(lasting) > before + 9, "requests of the load")
    command.process.send_signal(signal.SIGINT)
    status, out, err = command.end()
    assert status == 130, err
    assert "stopped before its end" in out
    assert rows.read_text()


@pytest.mark.timeout(120)
def test_a_sweep_ends_at_a_rate_that_is_too_much(lasting, tmp_path):
    out, page = tmp_path / "sweep.json", tmp_path / "sweep.html"
    words = ["--rate", "8", "--duration", "2s", "--steps", "0", "--slo", "e2e=0.000001"]
    command = Command(lasting, *words, "--out", str(out), "--html", str(page), verb="sweep")
    status, told, err = command.end()
    assert status == 1, err
    found = json.loads(out.read_text())
    assert set(found["verdicts"]) <= {"misses", "client"}
    assert len(found["runs"]) in {1, 2}
    assert "No rate was found" in told
    assert "<svg" in page.read_text()


def answered(site):
    """How many requests the site has counted so far."""
    _, answer = site.request("GET", "/api/v1/usage?by=model")
    return sum(row["requests"] for row in answer["rows"])

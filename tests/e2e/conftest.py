"""A whole Littoral on this host, as real processes, for tests that start, load and kill it."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any

import apsw
import pytest

PACKAGES = str(Path(__file__).resolve().parents[2] / "src")


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Site:
    """``littoral up`` on its own data directory and port.

    Args:
        data_dir: Where its state lives; kept between ``start`` calls.
        environ: More variables for the supervisor, such as ``LITTORAL_FAILPOINTS``.
        wrap: A command to run it under, such as a tracer.
        certificate: PEM file of what it shows, its key in ``key.pem`` beside it.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        environ: Mapping[str, str] | None = None,
        wrap: Sequence[str] = (),
        certificate: Path | None = None,
    ) -> None:
        self._wrap = list(wrap)
        self._certificate = certificate
        self.data_dir = data_dir
        self.port = free_port()
        self._environ = dict(environ or {})
        if certificate is not None:
            self._environ["LITTORAL_TLS_CERTIFICATE"] = str(certificate)
            self._environ["LITTORAL_TLS_KEY"] = str(certificate.with_name("key.pem"))
        self._load_id = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, timeout_s: float = 30.0) -> None:
        """Start it and wait until it serves."""
        command = [*self._wrap, sys.executable, "-m", "littoral", "up", "--port", str(self.port)]
        command += ["--data-dir", str(self.data_dir)]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("LITTORAL_")}
        passed = [name for name in inherited if name.startswith("COVERAGE_")]
        environ = inherited | {"PYTHONPATH": PACKAGES} | self._environ
        if passed:
            environ["LITTORAL_PASS_ENVIRONMENT"] = ",".join(passed)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        log = self.data_dir.with_suffix(".log")
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        self.wait_for(self.ready, "the site to be ready", timeout_s=timeout_s)

    def stop(self, *, timeout_s: float = 30.0) -> int:
        """Ask it to end, wait, and return its exit status."""
        if self._process is None:
            return 0
        os.kill(self.processes().get("supervisor", self._process.pid), signal.SIGTERM)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        finally:
            self._process = None

    @property
    def key(self) -> str:
        """The admin key of the first start."""
        return (self.data_dir / "admin.key").read_text().strip()

    def processes(self) -> Mapping[str, int]:
        """Role and pid of every process now, as the supervisor wrote them down."""
        try:
            found = json.loads((self.data_dir / "run/status.json").read_text())
        except (OSError, ValueError):
            return {}
        return {row["role"]: row["pid"] for row in found["processes"] if row["pid"]}

    def kill(self, role: str) -> int | None:
        """``kill -9`` the first process whose role begins with ``role``; its pid."""
        for name, pid in self.processes().items():
            if name.startswith(role):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                return pid
        return None

    def ready(self) -> bool:
        """Whether the gateway and control both answer."""
        return self.answers("/healthz") and self.answers("/api/v1/status")

    def answers(self, path: str, *, key: str | None = None) -> bool:
        """Whether a GET of ``path`` with the key (or the admin's) is a 200."""
        try:
            return self.request("GET", path, key=key)[0] == 200
        except (OSError, HTTPException):
            return False

    def request(
        self, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> tuple[int, Any]:
        """One request on a connection of its own: status and decoded JSON (or None)."""
        with self.open(method, path, body, key=key) as reply:
            data = reply.read()
            return reply.status, json.loads(data) if data else None

    @contextlib.contextmanager
    def open(
        self, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> Iterator[HTTPResponse]:
        """One request whose reply the caller reads, or leaves."""
        connection = self.connect()
        token = key if key is not None else self._key_or_nothing()
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, body=data, headers=headers)
            yield connection.getresponse()
        finally:
            connection.close()

    def connect(self) -> HTTPConnection:
        """A connection of one's own to the public port."""
        if self._certificate is None:
            return HTTPConnection("127.0.0.1", self.port, timeout=60)
        trusted = ssl.create_default_context(cafile=str(self._certificate))
        return HTTPSConnection("127.0.0.1", self.port, timeout=60, context=trusted)

    def _key_or_nothing(self) -> str:
        try:
            return self.key
        except FileNotFoundError:
            return "none"

    def wait_for(self, happened: Callable[[], bool], what: str, *, timeout_s: float = 30.0) -> None:
        """Poll until ``happened`` is true.

        Raises:
            TimeoutError: It did not, or the site ended; the message ends its log.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if happened():
                return
            if self._process is not None and self._process.poll() is not None:
                break
            threading.Event().wait(0.05)
        log = self.data_dir.with_suffix(".log").read_text(errors="replace")[-2000:]
        raise TimeoutError(f"waited {timeout_s:.0f} s for {what}; the log ends:\n{log}")

    def ledger(self) -> list[dict[str, Any]]:
        """Wait until the outbox is empty, stop, and read every row that ``load_key`` wrote."""
        self.wait_for(self.flushed, "the outbox to be empty")
        self.stop()
        file = apsw.Connection(str(self.data_dir / "ledger.db"), flags=apsw.SQLITE_OPEN_READONLY)
        with contextlib.closing(file):
            fields = (
                "request",
                "attempt",
                "status",
                "tokens_in",
                "tokens_out",
                "estimated",
                "at_us",
            )
            query = f"select {', '.join(fields)} from line where key = ?"  # noqa: S608  names
            rows = file.execute(query, (self._load_id,))
            return [dict(zip(fields, row, strict=True)) for row in rows]

    def load_key(self) -> str:
        """A new key for one load: its rows stand apart from those of our own probes."""
        made: dict[str, Any] = {}

        def make() -> bool:
            body = {"name": "load", "scopes": ["infer"]}
            try:
                status, answer = self.request("POST", "/api/v1/keys", body)
            except (OSError, HTTPException):
                return False
            made.update(answer or {})
            return status in {200, 201}

        self.wait_for(make, "a key for the load")
        self._load_id = made["key"]["id"]
        secret = made["secret"]
        self.wait_for(lambda: self.answers("/v1/models", key=secret), "the key to be known")
        return secret

    def flushed(self) -> bool:
        """Whether every node says that its outbox is empty and nothing is in flight."""
        status, answer = self.request("GET", "/api/v1/nodes")
        nodes = answer["items"] if status == 200 else []
        return bool(nodes) and all(n["status"] and not n["status"]["outbox_depth"] for n in nodes)

    def deploy(self, name: str, *, timeout_s: float = 60.0, **spec: object) -> None:
        """Apply a deployment and wait until the gateway serves it."""
        document = {"kind": "Deployment", "metadata": {"name": name}, "spec": spec}
        status, answer = self.request("POST", "/api/v1/apply", {"documents": [document]})
        if status != 200:
            raise RuntimeError(f"apply answered {status}: {answer}")
        self.wait_for(lambda: self.serves(name), f"{name} to be served", timeout_s=timeout_s)

    def serves(self, model: str) -> bool:
        """Whether one token of ``model`` can be had now."""
        body = {"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
        try:
            return self.request("POST", "/v1/chat/completions", body)[0] == 200
        except (OSError, HTTPException):
            return False


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Start sites by hand: ``make_site(environ={...})``; all are stopped afterwards."""
    made: list[Site] = []

    def make(**options: Any) -> Site:
        made.append(Site(tmp_path / f"data{len(made)}", **options))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """A site that is up and empty."""
    return make_site()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with the fake model ``echo``, for the tests of one file that leave it whole."""
    site = Site(tmp_path_factory.mktemp("lasting"))
    site.start()
    try:
        site.deploy("echo", engine="fake", model="echo")
        yield site
    finally:
        site.stop()


@pytest.fixture
def cloud(make_site: Callable[..., Site]) -> Site:
    """One running site with doors for nodes."""
    environ = {
        "LITTORAL_NODES_LISTEN": f"127.0.0.1:{free_port()}",
        "LITTORAL_SESSION_LISTEN": f"127.0.0.1:{free_port()}",
    }
    return make_site(environ=environ)

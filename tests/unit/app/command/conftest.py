"""A stand-in for the public port: the admin API's shapes and a streaming model, on loopback."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from littoral.app.command.root import main

KEY = "lit-sk-stand-in"


@dataclass
class StandIn:
    """Answers by method and path; every call is kept."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)

    def on(self, call: str, *answers: object, status: int = 200) -> None:
        """Answer ``"GET /path"`` with these in turn, the last one for ever."""
        self.answers[call] = [(status, msgspec.json.encode(answer)) for answer in answers]

    def refuse(self, call: str, status: int, code: str, message: str) -> None:
        """Answer with an error in the platform's shape."""
        error = {"message": message, "type": "x", "param": None, "code": code, "request_id": "r1"}
        self.on(call, {"error": error}, status=status)

    def bodies(self, call: str) -> list[Any]:
        """What was sent with these calls."""
        return [body for made, body in self.calls if made == call]

    def answer(self, call: str, body: object) -> tuple[int, bytes]:
        self.calls.append((call, body))
        path = call.partition("?")[0]
        waiting = self.answers.get(call) or self.answers.get(path)
        if waiting is None:
            return 404, b'{"error":{"message":"no such thing","code":"not_found"}}'
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


def handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def serve(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            assert self.headers["authorization"] == f"Bearer {KEY}" or self.path == "/readyz"
            parts = urlsplit(self.path)
            query = f"?{parts.query}" if parts.query else ""
            status, data = stand_in.answer(f"{self.command} {parts.path}{query}", body)
            streamed = data.startswith(b'"data:')
            kind = "text/event-stream" if streamed else "application/json"
            data = json.loads(data).encode() if streamed else data
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.send_header("x-littoral-route", "local/llama_cpp; only")
            self.send_header("x-request-id", "req_1")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = serve  # noqa: N815  names of the standard library

    return Handler


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """A server that answers as told."""
    made = StandIn()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(made))
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Said:
    """What one command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run a command line of words in this process, in English, away from the user's files."""
    for name in ("LITTORAL_URL", "LITTORAL_KEY", "LITTORAL_KEY_FILE", "LITTORAL_LANG", "LC_ALL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def ran(*words: str) -> Said:
        status = main(words)
        captured = capsys.readouterr()
        return Said(status, captured.out, captured.err)

    return ran


@pytest.fixture
def call(run, stand_in):
    """Run a command line against the stand-in."""
    return lambda *words: run(*words, "--url", stand_in.url, "--key", KEY)

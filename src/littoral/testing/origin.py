"""A web server on loopback with given files, and what may go wrong with it."""

import io
import threading
import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WHEEL = "tiny_model-1.0-py3-none-any.whl"
INFO = "tiny_model-1.0.dist-info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as the server saw it."""

    path: str
    range: str | None
    if_range: str | None
    authorization: str | None


@dataclass(slots=True, kw_only=True)
class Origin:
    """What a server has, what goes wrong with it, and what it saw.

    ``cuts`` are the places in a file where one answer after the other ends too early; ``statuses``
    are answered first; ``moved`` are redirects.
    """

    port: int
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    moved: dict[str, str] = field(default_factory=dict[str, str])
    cuts: list[int] = field(default_factory=list[int])
    statuses: list[int] = field(default_factory=list[int])
    ranges: bool = True
    etag: str = '"one"'
    seen: list[Seen] = field(default_factory=list[Seen])

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def index(self, wheel: bytes) -> None:
        """Serve a wheel of ``wheel_of`` as a package index does."""
        self.files[f"/files/{WHEEL}"] = wheel
        link = f'<a href="/files/{WHEEL}">{WHEEL}</a>'
        self.files["/simple/tiny-model/"] = f"<!doctype html><body>{link}</body>".encode()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one GET."""
        head, path = handler.headers, handler.path
        seen = Seen(
            path=path,
            range=head["range"],
            if_range=head["if-range"],
            authorization=head["authorization"],
        )
        self.seen.append(seen)
        if path in self.moved:
            self._head(handler, 302, length=0, more={"location": self.moved[path]})
        elif self.statuses:
            self._head(handler, self.statuses.pop(0), length=0, more={})
        elif path not in self.files:
            self._head(handler, 404, length=0, more={})
        else:
            self._send(handler, self.files[path], seen)

    def _send(self, handler: BaseHTTPRequestHandler, data: bytes, seen: Seen) -> None:
        start, whole = 0, len(data)
        if seen.range and self.ranges and seen.if_range in {None, self.etag}:
            first, _, last = seen.range.removeprefix("bytes=").partition("-")
            start, data = int(first), data[: int(last) + 1] if last else data
            span = f"bytes {start}-{len(data) - 1}/{whole}"
            self._head(handler, 206, length=len(data) - start, more={"content-range": span})
        else:
            self._head(handler, 200, length=len(data), more={})
        end = self.cuts.pop(0) if self.cuts else len(data)
        handler.wfile.write(data[start:end])

    def _head(
        self, handler: BaseHTTPRequestHandler, status: int, *, length: int, more: Mapping[str, str]
    ) -> None:
        handler.send_response(status)
        fixed = {"content-length": str(length), "content-type": "text/html", "etag": self.etag}
        for name, value in (fixed | dict(more)).items():
            handler.send_header(name, value)
        handler.end_headers()


@contextmanager
def serving() -> Generator[Origin]:
    """An origin that listens while the context lasts."""
    known: list[Origin] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known[0].answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its caller's name
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known.append(Origin(port=server.server_port))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield known[0]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def wheel_of(members: Mapping[str, bytes], *, compress: bool = False) -> bytes:
    """A wheel as a package client accepts it, with members as given."""
    whole = dict(members) | {
        f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
        f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*whole, f"{INFO}/RECORD"])
    made = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in (whole | {f"{INFO}/RECORD": record.encode()}).items():
            archive.writestr(name, data)
    return made.getvalue()

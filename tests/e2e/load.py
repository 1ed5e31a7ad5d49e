"""Clients that count what they received, and the comparison of their count with the ledger."""

import itertools
import json
import random
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse

FAILURES = (OSError, HTTPException, ValueError)


@dataclass
class Got:
    """What one client saw of one request."""

    kind: str
    request: str = ""
    status: int = 0
    complete: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    events: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    why: str = ""
    """What a client met instead of an answer."""


@dataclass
class Tally:
    """What all clients saw."""

    got: list[Got] = field(default_factory=list)

    def complete(self) -> dict[str, Got]:
        """Requests whose whole answer arrived, by id."""
        return {g.request: g for g in self.got if g.complete}

    def partial(self) -> dict[str, Got]:
        """Requests that were answered 200 and then cut, by either side."""
        return {g.request: g for g in self.got if g.request and g.status == 200 and not g.complete}

    def unanswered(self) -> int:
        """Requests that never saw a status line."""
        return sum(g.status == 0 for g in self.got)


def run(
    site,
    *,
    key: str,
    requests: int,
    models: list[str],
    threads: int = 12,
    seed: int = 1,
    until: Callable[[], bool] | None = None,
    pause_s: float = 0.0,
) -> Tally:
    """Send a seeded mixture: whole, streamed, and streamed then cancelled half way."""
    tally, lock, numbers = Tally(), threading.Lock(), itertools.count()

    def work(worker: int) -> None:
        rng = random.Random(seed * 1000 + worker)
        while (number := next(numbers)) < requests and not (until and until()):
            got = ask(site, rng, model=models[number % len(models)], key=key)
            with lock:
                tally.got.append(got)
            threading.Event().wait(pause_s if got.status == 200 else 0.02)

    crew = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    for each in crew:
        each.start()
    for each in crew:
        each.join()
    return tally


def ask(site, rng: random.Random, *, model: str, key: str) -> Got:
    """One request of a random kind."""
    kind = rng.choices(("whole", "stream", "cancel"), (4, 4, 2))[0]
    body = {
        "model": model,
        "max_tokens": rng.randrange(1, 24),
        "temperature": 0,
        "messages": [{"role": "user", "content": "word " * rng.randrange(1, 40)}],
    }
    if kind != "whole":
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    got = Got(kind)
    try:
        with site.open("POST", "/v1/chat/completions", body, key=key) as reply:
            got.headers = {name.lower(): value for name, value in reply.headers.items()}
            got.status, got.request = reply.status, got.headers.get("x-request-id", "")
            if got.status != 200:
                got.why = reply.read()[:300].decode(errors="replace")
            elif kind == "whole":
                count(got, json.loads(reply.read())["usage"])
            else:
                stream(got, reply, stop_after=rng.randrange(1, 6) if kind == "cancel" else None)
    except FAILURES as error:
        got.complete, got.why = False, repr(error)
    return got


def stream(got: Got, reply: HTTPResponse, *, stop_after: int | None) -> None:
    """Read events; leave after ``stop_after`` content events."""
    usage = None
    while line := reply.readline():
        if line == b"data: [DONE]\n" and usage is not None:
            count(got, usage)
        elif line.startswith(b"data: {"):
            event = json.loads(line[6:])
            usage = event.get("usage") or usage
            choices = event.get("choices")
            got.events += bool(choices and choices[0]["delta"].get("content"))
            if got.events == stop_after:
                if reply.fp is not None:
                    reply.fp.raw._sock.shutdown(socket.SHUT_RDWR)
                return


def count(got: Got, usage: dict[str, int]) -> None:
    """Take the counts of a whole answer."""
    got.tokens_in, got.tokens_out = usage["prompt_tokens"], usage["completion_tokens"]
    got.complete = True


def compare(tally: Tally, ledger: list[dict]) -> list[str]:
    """Every way in which the ledger's rows differ from what clients saw; empty when it is equal.

    A whole answer must be one row with the same tokens. A cut one must be one row (or more, after
    retries) whose output is at least what the client read. A row nobody knows of must belong to a
    client that never saw a status line.
    """
    rows: dict[str, list[dict]] = {}
    for row in ledger:
        rows.setdefault(row["request"], []).append(row)
    wrong: list[str] = []
    complete, partial = tally.complete(), tally.partial()
    for request, got in complete.items():
        booked = [r for r in rows.get(request, []) if r["status"] == "ok"]
        counts = [(r["tokens_in"], r["tokens_out"]) for r in booked]
        if counts != [(got.tokens_in, got.tokens_out)]:
            wrong.append(f"{request}: client {got.tokens_in}/{got.tokens_out}, ledger {counts}")
    for request, got in partial.items():
        booked = rows.get(request, [])
        if not booked or max(r["tokens_out"] for r in booked) < got.events:
            wrong.append(f"{request}: client read {got.events} events, ledger {booked}")
    attempts = [(r["request"], r["attempt"]) for r in ledger]
    if len(attempts) != len(set(attempts)):
        wrong.append(f"{len(attempts) - len(set(attempts))} rows are doubled")
    known = complete.keys() | partial.keys()
    strangers = [
        request
        for request, booked in rows.items()
        if request not in known and any(r["tokens_out"] for r in booked)
    ]
    if len(strangers) > tally.unanswered():
        wrong.append(f"{len(strangers)} rows nobody asked for, {tally.unanswered()} unanswered")
    return wrong

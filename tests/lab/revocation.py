"""How soon what was revoked is refused at an edge, over a session: keys, then a whole node."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from lab.machine import SESSION, Edge
from lab.report import Report
from lab.world import FAIR, World, chat

KEYS = 10
WITHIN_S = 1.0
POLL_S = 0.01
ESTABLISHED = "01"


def run(world: World, report: Report) -> None:
    """Measure it, and say what held."""
    world.weather(FAIR)
    world.begin(chat("echo"))
    keys = [_key(world, number) for number in range(KEYS)]
    _figure(report, "an edge refuses a revoked key", keys)
    nodes = [_node(world, edge) for edge in world.edges]
    _figure(report, "the session of a revoked node is closed", [closed for closed, _ in nodes])
    _figure(report, "a revoked node serves no key", [refused for _, refused in nodes])


def _figure(report: Report, what: str, took: list[float]) -> None:
    median, last = statistics.median(took), max(took)
    seen = f"{len(took)} times: median {median * 1000:.0f} ms, longest {last * 1000:.0f} ms"
    report.must(f"{what} within {WITHIN_S:.0f} s", seen, holds=last <= WITHIN_S)


def _key(world: World, number: int) -> float:
    """Seconds from the admin call to the first refusal."""
    body = {"name": f"gone{number}", "scopes": ["infer"]}
    _, made = world.cloud.request("POST", "/api/v1/keys", body)
    edge = world.edges[number % len(world.edges)]
    secret = made["secret"]
    world.until(lambda: edge.answers("/v1/models", key=secret), "the key to be known", timeout_s=60)
    begin = time.monotonic()
    world.cloud.request("DELETE", f"/api/v1/keys/{made['key']['id']}")
    return _since(begin, lambda: edge.request("GET", "/v1/models", key=secret)[0] == 401)


def _node(world: World, edge: Edge) -> tuple[float, float]:
    """Seconds from the admin call to the end of the connection, and to the last answer."""
    begin = time.monotonic()
    world.cloud.request("POST", f"/api/v1/nodes/{edge.space}/revoke")
    closed = _since(begin, lambda: not _connected(edge))
    return closed, _since(begin, lambda: not edge.answers("/v1/models", key=world.key))


def _since(begin: float, happened: Callable[[], bool]) -> float:
    while not happened():
        if time.monotonic() > begin + 30.0:
            raise TimeoutError("30 s after it was revoked it is not refused yet")
        time.sleep(POLL_S)
    return time.monotonic() - begin


def _connected(edge: Edge) -> bool:
    """Whether a connection to the session's port is open in the edge's namespace."""
    pid = edge.processes().get("node")
    if pid is None:
        return False
    try:
        lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    except OSError:
        return False
    rows = (line.split() for line in lines)
    return any(r[3] == ESTABLISHED and int(r[2].split(":")[1], 16) == SESSION for r in rows)

"""A small outbox that is full while control is away, and empties when it is back."""

import urllib.error
from functools import partial

import anyio
import pytest

from e2e.conftest import Site
from e2e.test_joined import ECHO, Edge, answers, nodes_that_serve
from littoral.domain.errors import LedgerFull
from littoral.stores.outbox import SqliteOutbox
from littoral.stores.outbox_file import Tuning
from littoral.testing.clock import SettableClock
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.sink import ListSink
from littoral.testing.usage import usage_record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
MIB = 16
"""The smallest outbox there is."""


async def fill(path: str) -> int:
    """Append records to a closed outbox until it takes no more; returns how many."""
    clock = SettableClock()
    world = {
        "clock": clock,
        "entropy": SeededEntropy(),
        "failpoints": ArmedFailpoints(),
        "sink": ListSink(),
    }
    count = 0
    async with SqliteOutbox.open(path, tuning=Tuning(quota=MIB << 20), **world) as outbox:
        try:
            while True:
                rows = [usage_record(f"fill_{count + each}") for each in range(200)]
                await outbox.append(rows)
                count += 200
        except LedgerFull:
            return count


def refusal(edge: Edge) -> tuple[int, str, str] | None:
    """Status, body and when to try again of an answer that was none."""
    try:
        edge.ask()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers["retry-after"]
    except OSError:
        return None
    return None


@pytest.fixture
def edge(cloud, tmp_path):
    """A joined edge that has served, stopped, with an outbox as small as it may be."""
    assert cloud.request("POST", "/api/v1/apply", {"documents": [ECHO]})[0] == 200
    body = {"site": "default", "labels": {}, "tier": "edge", "minutes": 15}
    _, invited = cloud.request("POST", "/api/v1/invitations", body)
    edge = Edge(tmp_path / "edge", cloud.key, outbox_mib=str(MIB))
    joined = edge.run("node", "join", invited["url"], "--token", invited["token"], "--no-start")
    assert joined.returncode == 0, joined.stderr
    assert edge.start().returncode == 0
    cloud.wait_for(lambda: "pier-4" in nodes_that_serve(cloud), "the engine at the edge")
    cloud.wait_for(lambda: answers(edge), "an answer at the edge")
    edge.run("down")
    yield edge
    edge.run("down")


def test_an_edge_refuses_what_it_cannot_record_and_goes_on_by_itself(cloud, edge):
    cloud.stop()
    count = anyio.run(partial(fill, str(edge.folder / "outbox.db")))
    assert count > 10_000
    edge.start()
    cloud.wait_for(lambda: refusal(edge) is not None, "the edge's refusal")
    status, said, later = refusal(edge)
    assert (status, later) == (503, "30")
    assert "ledger_full" in said
    cloud.wait_for(lambda: "ledger_full" in edge.run("events").stdout, "the event that says so")
    edge.run("down")
    edge.settings["LITTORAL_SERVE_UNMETERED"] = "true"
    edge.start()
    cloud.wait_for(lambda: answers(edge), "an answer that nobody counts")
    edge.run("down")
    del edge.settings["LITTORAL_SERVE_UNMETERED"]
    cloud.start()
    edge.start()
    cloud.wait_for(lambda: answers(edge), "an answer once control is back", timeout_s=90)
    cloud.wait_for(partial(stored, cloud, count), "every record in the ledger", timeout_s=90)


def stored(cloud: Site, count: int) -> bool:
    """Whether each record that waited is in the ledger, once."""
    _, found = cloud.request("GET", "/api/v1/usage?by=key")
    return {row["key"]: row["requests"] for row in found["rows"]}.get("k1", 0) == count

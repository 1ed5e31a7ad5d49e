"""Serving on real sockets: the API's unix socket beside the session listener."""

import stat
from pathlib import Path

import anyio
import httpx2
import pytest

from littoral.control.serve import serve
from littoral.domain.errors import StorageFull
from littoral.domain.ids import NodeId
from littoral.domain.news import Wanted
from littoral.domain.node import Event
from littoral.domain.ports import ChannelClosed
from littoral.domain.session import Hello, Welcome
from littoral.domain.units import Micros

pytestmark = pytest.mark.anyio
HELLO = Hello(
    protocol=1,
    node=NodeId("nd_1"),
    name="here",
    boot="b",
    build="0",
    outbox="o",
    snapshot=(0, 0),
)


async def until(true) -> None:
    """Wait for a condition; the test's own time limit bounds it."""
    while not true():  # noqa: ASYNC110  what is awaited has no event
        await anyio.sleep(0.01)


def client(path: Path) -> httpx2.AsyncClient:
    transport = httpx2.AsyncHTTPTransport(uds=str(path))
    return httpx2.AsyncClient(transport=transport, base_url="http://control/api/v1")


async def test_it_serves_both_and_stops_when_cancelled(site, tmp_path):
    path = tmp_path / "control.sock"
    async with anyio.create_task_group() as group:
        group.start_soon(_serve, site, path)
        await until(lambda: path.exists() and stat.S_IMODE(path.stat().st_mode) == 0o600)
        async with client(path) as api:
            answer = await api.get("/health")
            assert (answer.status_code, answer.json()) == (200, {"ok": True})
            assert "server" not in answer.headers
            headers = {"authorization": f"Bearer {site.admin}"}
            assert (await api.get("/status", headers=headers)).status_code == 200
            big = {"content-type": "application/json", **headers}
            answer = await api.post("/apply", content=b" " * (5 << 20), headers=big)
            assert answer.status_code == 413
        async with site.network.dial("session") as channel:
            await channel.send(HELLO)
            assert isinstance(await channel.receive(), Welcome)
        group.cancel_scope.cancel()
    with pytest.raises(ChannelClosed):
        async with site.network.dial("session"):
            pass


async def test_it_starts_again_on_a_socket_that_was_left_behind(site, tmp_path):
    path = tmp_path / "control.sock"
    for _ in range(2):
        async with anyio.create_task_group() as group:
            group.start_soon(_serve, site, path)
            await until(path.exists)
            async with client(path) as api:
                await until_answered(api)
            group.cancel_scope.cancel()


async def test_events_are_written_down_while_it_serves(site, tmp_path):
    site.parts.events.emit(Event(at_us=Micros(1), level="info", subject="s", code="c", message="m"))
    async with anyio.create_task_group() as group:
        group.start_soon(_serve, site, tmp_path / "control.sock")
        await until(lambda: site.inbox.events(Wanted()))
        group.cancel_scope.cancel()


async def test_a_full_disk_is_reported_and_does_not_end_it(site, tmp_path):
    def full() -> None:
        raise StorageFull("no room")

    site.parts.events.flush = full
    async with anyio.create_task_group() as group:
        group.start_soon(_serve, site, tmp_path / "control.sock")
        await until(lambda: site.reports)
        async with client(tmp_path / "control.sock") as api:
            await until_answered(api)
        group.cancel_scope.cancel()
    assert site.reports[0][0] == "watch"


async def _serve(site, path: Path) -> None:
    await serve(site.parts, api_socket=str(path), session_address="session")


async def until_answered(api: httpx2.AsyncClient) -> None:
    while True:
        try:
            assert (await api.get("/health")).status_code == 200
        except httpx2.TransportError:
            await anyio.sleep(0.01)
        else:
            return

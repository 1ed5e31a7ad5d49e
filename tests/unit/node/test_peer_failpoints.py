"""Whoever dies, fails or stops where neighbours are known or asked goes on as before."""

from collections import Counter

import anyio
import pytest

from littoral.domain.delivery import Cut
from littoral.domain.ids import Digest
from littoral.lab.life import InjectedError, Killed, Life
from unit.node.test_peers import A, B, Land, Node, run

NAMES = ("peers.written", "piece.read")
ACTS = ("kill", "error", "delay")
DATA = bytes(range(256)) * 40


def life(passes: Counter[str]) -> Life:
    return Life(lambda _text: None, passes)


async def read(_digest: Digest, begin: int, most: int) -> bytes | None:
    await anyio.sleep(0.01)
    return DATA[begin : begin + most]


async def live(node: Node) -> None:
    """Be a process until it is killed."""
    node.peers.read = read
    try:
        await node.peers.run()
    except* Killed:
        pass


@pytest.mark.parametrize("act", ACTS)
def test_a_list_of_neighbours_is_on_disk_whatever_happens_behind_it(act):
    passes: Counter[str] = Counter()

    async def script(land: Land) -> None:
        armed = life(passes)
        armed.arm("peers.written", act)
        before = Node(B, land, listens=False, failpoints=armed)
        try:
            before.peers.hinted({A: f"{A}:1"})
        except (Killed, InjectedError):
            assert act != "delay"
        for node in (before, Node(B, land, listens=False, disk=before.disk)):
            if node is before and act == "kill":
                continue
            async with anyio.create_task_group() as group:
                group.start_soon(node.peers.run)
                await anyio.sleep(20)
                assert node.near
                group.cancel_scope.cancel()

    run(script, listening=A, silent=B)
    assert passes[f"peers.written={act}"] == 1


@pytest.mark.parametrize("act", ACTS)
def test_a_piece_comes_whatever_happens_to_whom_it_is_asked_of(act):
    passes: Counter[str] = Counter()

    async def script(land: Land) -> None:
        giver = land.nodes[A]
        giver.failpoints = armed = life(passes)
        giver.make()
        async with anyio.create_task_group() as group:
            group.start_soon(live, giver)
            await anyio.sleep(20)
            armed.arm("piece.read", act)
            try:
                status, found = await land.nodes[B].fetch(A, end=len(DATA))
                assert (status, found) == ((503, b"") if act == "error" else (206, DATA))
            except Cut:
                assert act == "kill"
            if act == "kill":
                giver.failpoints = life(passes)
                giver.make()
                group.start_soon(live, giver)
                await anyio.sleep(60)
            assert await land.nodes[B].fetch(A, end=len(DATA)) == (206, DATA)
            group.cancel_scope.cancel()

    run(script, listening=A, silent=A)
    assert passes[f"piece.read={act}"] == 1

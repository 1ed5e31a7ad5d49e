"""A node gets its artefacts once, from peers first, and tells people how far they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import replace as changed
from typing import Any

import anyio
import pytest

from littoral.control.pulls import Pulls
from littoral.domain.blob import (
    CHUNK_LEAST,
    BlobAsk,
    BlobManifest,
    BlobOffer,
    BlobProgress,
    BlobsHeld,
    BlobSource,
    DeltaOffer,
)
from littoral.domain.delivery import BlobParts
from littoral.domain.errors import Damaged, UpstreamFailed
from littoral.domain.ids import Digest, NodeId
from littoral.domain.ports import ChannelClosed, Failpoints
from littoral.domain.session import Frame
from littoral.domain.units import Bytes, Seconds
from littoral.node.artefact import ArtefactParts, Artefacts
from littoral.node.board import Board
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.chance import SeededChance
from littoral.testing.downloads import MemoryDownloads
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.loop import LoopClock, simulate
from littoral.testing.parts import MemoryParts
from littoral.testing.sink import ListSink
from littoral.trust.blob import measure, sign
from littoral.trust.signature import key_id, public_of

SEED = bytes(range(32))
KEYS: Mapping[str, bytes] = {key_id(public_of(SEED)): public_of(SEED)}
DATA = bytes(range(256)) * 4096
DELTA = b"delta" * 100
PARENT = b"parent" * 1000


def manifest(data: bytes = DATA) -> BlobManifest:
    return measure([data], kind="gguf", chunk=CHUNK_LEAST)


@dataclass
class Control:
    """Control's answers, with leases, for nodes of one site."""

    clock: LoopClock
    manifests: dict[Digest, BlobManifest] = field(default_factory=dict)
    pulls: Pulls = field(default_factory=Pulls)
    nodes: dict[NodeId, "Node"] = field(default_factory=dict)
    seed: bytes = SEED
    later: int = 0
    wan: int = 0
    data: dict[Digest, bytes] = field(default_factory=dict)

    def add(self, *blobs: bytes, deltas: tuple[DeltaOffer, ...] = ()) -> Digest:
        for blob in blobs:
            found = manifest(blob)
            self.data[found.digest] = blob
            self.manifests[found.digest] = changed(found, deltas=deltas)
        return found.digest

    def hear(self, node: NodeId, frame: Frame) -> None:
        now = self.clock.now()
        match frame:
            case BlobAsk():
                self.nodes[node].artefacts.offered(self.answer(node, frame.digest, now))
            case BlobProgress():
                self.pulls.progress(frame.digest, node, done=frame.done, ended=frame.ended, now=now)
            case BlobsHeld():
                self.pulls.held(node, address=frame.address, digests=frame.digests)

    def answer(self, node: NodeId, digest: Digest, now: Seconds) -> BlobOffer:
        found = self.manifests.get(digest)
        if found is None:
            return BlobOffer(digest=digest, error="control has no such blob")
        if self.later:
            self.later -= 1
            return BlobOffer(digest=digest, error="being measured", again_s=Seconds(1.0))
        turn = self.pulls.turn(digest, node, sites=dict.fromkeys(self.nodes, "here"), now=now)
        sources = [
            BlobSource(name=peer, address=f"{peer}/{digest}", wan=False) for peer, _ in turn.peers
        ]
        if turn.pulls:
            sources.append(BlobSource(name="control", address=f"wan/{digest}"))
        return BlobOffer(
            digest=digest,
            signed=sign(found, seed=self.seed),
            sources=tuple(sources),
            again_s=Seconds(2.0),
        )

    async def serve(self, address: str, begin: int, end: int) -> bytes | int:
        host, _, digest = address.partition("/")
        if host == "wan":
            return self.data[Digest(digest)][begin:end]
        peer = self.nodes[NodeId(host)]
        whole = peer.blobs.files.get(Digest(digest))
        if whole is not None:
            return whole[begin:end]
        found = await peer.artefacts.piece(Digest(digest), begin, end - begin)
        return 416 if found is None else found


class Node:
    """One node's artefacts."""

    def __init__(
        self,
        control: Control,
        name: str,
        *,
        bytes_s: float | None = None,
        failpoints: Failpoints | None = None,
    ) -> None:
        self.id = NodeId(name)
        self.control = control
        self.blobs = MemoryBlobs()
        places = failpoints or ArmedFailpoints()
        self.parts: BlobParts = MemoryParts(self.blobs, failpoints=places)
        self.downloads = MemoryDownloads(control.serve, bytes_s=bytes_s)
        self.connected = True
        self.sink = ListSink()
        self.rebuilt: list[DeltaOffer] = []
        self.rebuilds: Any = None
        clock = control.clock
        self.artefacts = Artefacts(
            ArtefactParts(
                parts=self.parts,
                downloads=self.downloads,
                post=self._post,
                keys=lambda: KEYS,
                rebuild=self._rebuild,
                local=lambda _wall: 0,
                clock=clock,
                chance=SeededChance(len(control.nodes)),
                failpoints=places,
                board=Board(clock=clock, sink=self.sink, report=lambda _pids: None),
                address=f"https://{name}",
            )
        )
        control.nodes[self.id] = self

    def put(self, data: bytes) -> Digest:
        writer = self.blobs.writer()
        writer.write(data)
        return writer.commit()

    async def _post(self, frame: Frame) -> None:
        await anyio.lowlevel.checkpoint()
        if not self.connected:
            raise ChannelClosed("cut")
        self.control.hear(self.id, frame)

    async def _rebuild(self, delta: DeltaOffer, _path: str, _manifest: BlobManifest) -> bool:
        await anyio.lowlevel.checkpoint()
        self.rebuilt.append(delta)
        return self.rebuilds() if self.rebuilds else False

    async def locate(self, digest: Digest, tell=lambda _text: None) -> str | None:
        found: list[Any] = []

        async def look() -> None:
            try:
                found.append(await self.artefacts.locate(digest, tell))
            except Exception as error:  # noqa: BLE001  handed to the test
                found.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(self.artefacts.run)
            group.start_soon(self.artefacts.connected)
            async with anyio.create_task_group() as inner:
                inner.start_soon(look)
            await anyio.sleep(1)
            group.cancel_scope.cancel()
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]


def run(main):
    return simulate(lambda: main(Control(LoopClock())))


def test_a_blob_that_is_here_is_found_at_once():
    async def main(control: Control):
        node = Node(control, "a")
        assert await node.locate(node.put(DATA)) is not None
        assert node.downloads.asked == []

    run(main)


def test_a_blob_comes_from_control_and_people_see_how_far_it_is():
    async def main(control: Control):
        digest = control.add(DATA)
        node, told = Node(control, "a", bytes_s=50_000), []
        assert await node.locate(digest, told.append) is not None
        assert node.blobs.files[digest] == DATA
        assert any("of 1.0 MB" in text for text in told)
        assert [event.code for event in node.sink.events] == ["blob_here"]

    run(main)


def test_many_that_wait_for_one_blob_cause_one_fetch():
    async def main(control: Control):
        digest = control.add(DATA)
        node = Node(control, "a")
        async with anyio.create_task_group() as group:
            group.start_soon(node.artefacts.run)
            async with anyio.create_task_group() as waiting:
                for _ in range(3):
                    waiting.start_soon(node.artefacts.locate, digest, lambda _text: None)
            group.cancel_scope.cancel()
        assert node.downloads.sent.total() == len(DATA)

    run(main)


def test_three_nodes_of_a_site_take_a_blob_over_the_line_once():
    async def main(control: Control):
        digest = control.add(DATA)
        nodes = [Node(control, name, bytes_s=100_000) for name in ("a", "b", "c")]
        async with anyio.create_task_group() as group:
            for node in nodes:
                group.start_soon(node.artefacts.run)
                group.start_soon(node.artefacts.connected)
            async with anyio.create_task_group() as waiting:
                for node in nodes:
                    waiting.start_soon(node.artefacts.locate, digest, lambda _text: None)
            group.cancel_scope.cancel()
        assert all(node.blobs.files[digest] == DATA for node in nodes)
        wan = sum(node.downloads.sent[f"wan/{digest}"] for node in nodes)
        assert wan <= 1.05 * len(DATA)

    run(main)


def test_when_the_puller_dies_another_one_goes_on():
    async def main(control: Control):
        digest = control.add(DATA)
        first, second = Node(control, "a", bytes_s=50_000), Node(control, "b", bytes_s=1e6)
        async with anyio.create_task_group() as dying:
            dying.start_soon(first.artefacts.run)
            dying.start_soon(first.artefacts.locate, digest, lambda _text: None)
            await anyio.sleep(5)
            dying.cancel_scope.cancel()
        del control.nodes[first.id]
        control.pulls.left(first.id)
        assert await second.locate(digest) is not None
        assert second.blobs.files[digest] == DATA

    run(main)


def test_a_forged_manifest_is_not_believed():
    async def main(control: Control):
        control.seed = bytes(32)
        node = Node(control, "a")
        with pytest.raises(Damaged, match="signed by"):
            await node.locate(control.add(DATA))
        assert node.downloads.asked == []

    run(main)


def test_a_manifest_that_is_still_made_is_waited_for():
    async def main(control: Control):
        control.later = 3
        assert await Node(control, "a").locate(control.add(DATA)) is not None

    run(main)


def test_what_control_does_not_have_is_an_error_that_says_so():
    async def main(control: Control):
        with pytest.raises(UpstreamFailed, match="no such blob"):
            await Node(control, "a").locate(manifest().digest)

    run(main)


def test_without_control_it_says_that_control_cannot_be_asked():
    async def main(control: Control):
        node = Node(control, "a")
        node.connected = False
        with pytest.raises(UpstreamFailed, match="cannot be asked"):
            await node.locate(control.add(DATA))

    run(main)


def offer(parent: bytes = PARENT) -> DeltaOffer:
    return DeltaOffer(
        parent=manifest(parent).digest,
        digest=manifest(DELTA).digest,
        size=Bytes(len(DELTA)),
        tensors=1,
    )


def test_a_delta_is_taken_where_its_parent_is_here():
    async def main(control: Control):
        control.add(DELTA)
        digest = control.add(DATA, deltas=(offer(),))
        node = Node(control, "a")
        node.put(PARENT)
        node.rebuilds = lambda: bool(node.put(DATA))
        assert await node.locate(digest) is not None
        assert node.rebuilt == [offer()]
        assert node.downloads.sent.total() == len(DELTA)

    run(main)


def test_a_delta_that_does_not_give_the_blob_is_followed_by_all_of_it():
    async def main(control: Control):
        control.add(DELTA)
        digest = control.add(DATA, deltas=(offer(),))
        node = Node(control, "a")
        node.put(PARENT)

        def spoilt() -> bool:
            raise Damaged("these bytes are something else")

        node.rebuilds = spoilt
        assert await node.locate(digest) is not None
        assert node.blobs.files[digest] == DATA
        assert "delta_failed" in [event.code for event in node.sink.events]

    run(main)


def test_a_delta_without_its_parent_is_not_even_asked_for():
    async def main(control: Control):
        control.add(DELTA)
        node = Node(control, "a")
        await node.locate(control.add(DATA, deltas=(offer(),)))
        assert node.rebuilt == []

    run(main)


def test_a_chunk_outside_a_blob_is_given_to_nobody():
    async def main(control: Control):
        node = Node(control, "a")
        assert await node.artefacts.piece(manifest().digest, 0, 1) is None
        node.artefacts.offered(BlobOffer(digest=manifest().digest))

    run(main)

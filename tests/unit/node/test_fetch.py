"""A blob comes byte-exact over cuts, wrong servers and full disks, or it says why not."""

from collections.abc import Sequence

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.domain.blob import CHUNK_LEAST, BlobManifest, BlobSource
from littoral.domain.errors import StorageFull, UpstreamFailed
from littoral.domain.pace import PacePolicy, Window
from littoral.domain.units import Bytes
from littoral.node.fetch import Fetch, FetchParts
from littoral.node.pacer import Pacer
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.chance import SeededChance
from littoral.testing.downloads import MemoryDownloads
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.loop import LoopClock, simulate
from littoral.testing.parts import MemoryParts
from littoral.trust.blob import measure

DATA = bytes(range(256)) * 4096
WAN = BlobSource(name="control", address="wan")
PEER = BlobSource(name="nd_peer", address="peer", wan=False)


class World:
    """A blob of 1 MiB in chunks of 64 KiB, and those who have it."""

    def __init__(self, *, bytes_s: float | None = None, room: int = 1 << 30) -> None:
        self.manifest: BlobManifest = measure([DATA], kind="gguf", chunk=CHUNK_LEAST)
        self.clock = LoopClock()
        self.blobs = MemoryBlobs(room=Bytes(room))
        self.parts = MemoryParts(self.blobs, failpoints=ArmedFailpoints())
        self.downloads = MemoryDownloads(self.serve, bytes_s=bytes_s)
        self.sources: Sequence[BlobSource] = [WAN]
        self.policy = PacePolicy()
        self.minute = 0
        self.answers: dict[str, object] = {}
        self.stale = 0
        self.told: list[int] = []

    async def serve(self, address: str, begin: int, end: int) -> bytes | int:
        answer = self.answers.get(address)
        if callable(answer):
            return answer(begin, end)
        return DATA[begin:end] if answer is None else answer

    async def _sources(self, stale: object) -> Sequence[BlobSource]:
        self.stale += bool(stale)
        return self.sources

    async def _told(self, done: Bytes) -> None:
        self.told.append(done)
        await anyio.lowlevel.checkpoint()

    def fetch(self) -> Fetch:
        pacer = Pacer(lambda: self.policy, clock=self.clock, local=lambda _wall: self.minute)
        return Fetch(
            manifest=self.manifest,
            world=FetchParts(
                parts=self.parts,
                downloads=self.downloads,
                clock=self.clock,
                chance=SeededChance(3),
                pacer=pacer,
                sources=self._sources,
                told=self._told,
            ),
        )

    @property
    def here(self) -> bytes | None:
        return self.blobs.files.get(self.manifest.digest)


def test_a_blob_comes_whole_in_one_request():
    async def run():
        world = World()
        await world.fetch().run()
        return world

    world = simulate(run)
    assert world.here == DATA
    assert world.downloads.asked == [("wan", 0, len(DATA))]


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, 300_000), max_size=20))
def test_cuts_cost_no_byte_twice(cuts):
    async def run():
        world = World()
        world.downloads.cuts = list(cuts)
        await world.fetch().run()
        return world

    world = simulate(run)
    assert world.here == DATA
    assert world.downloads.sent["wan"] == len(DATA)


def test_what_is_there_from_an_earlier_try_does_not_come_again():
    async def run():
        world = World()
        world.downloads.cuts = [200_000]
        with anyio.move_on_after(0.01):
            await world.fetch().run()
        await world.fetch().run()
        return world

    world = simulate(run)
    assert world.here == DATA
    assert world.downloads.sent["wan"] <= len(DATA) + CHUNK_LEAST
    assert world.told == list(range(CHUNK_LEAST, len(DATA) + 1, CHUNK_LEAST))


def test_silence_of_a_minute_ends_it_and_slowness_never_does():
    async def slow():
        world = World(bytes_s=500.0)
        await world.fetch().run()
        return world, world.clock.now()

    world, took = simulate(slow)
    assert world.here == DATA
    assert took > 2000

    async def silent():
        world = World()
        world.answers["wan"] = 503
        with pytest.raises(UpstreamFailed, match="no byte for"):
            await world.fetch().run()
        return world.clock.now()

    assert 60 <= simulate(silent) < 75


@pytest.mark.parametrize("answer", [200, 204, 302])
def test_an_answer_that_is_not_the_range_is_aborted_and_twice_drops_the_source(answer):
    async def run():
        world = World()
        world.answers["wan"] = answer
        with pytest.raises(UpstreamFailed, match="sends something else"):
            await world.fetch().run()
        return world

    assert len(simulate(run).downloads.asked) == 2


def test_a_bad_chunk_comes_again_from_elsewhere():
    async def run():
        world = World()
        world.sources = [PEER, WAN]
        world.answers["peer"] = lambda begin, end: bytes(end - begin)
        fetch = world.fetch()
        await fetch.run()
        return world, fetch

    world, fetch = simulate(run)
    assert world.here == DATA
    assert [address for address, *_ in world.downloads.asked] == ["peer", "wan"]
    assert 0 < fetch.wasted <= 2 * CHUNK_LEAST


def test_two_strikes_drop_a_source_that_has_no_rival():
    async def run():
        world = World()
        world.answers["wan"] = lambda begin, end: bytes(end - begin)
        with pytest.raises(UpstreamFailed, match="sends something else"):
            await world.fetch().run()
        return world

    assert len(simulate(run).downloads.asked) == 2


def test_an_address_that_has_ended_is_asked_for_anew():
    async def run():
        world = World()
        answers = iter([403, 404])
        world.answers["wan"] = lambda begin, end: next(answers, DATA[begin:end])
        await world.fetch().run()
        return world

    world = simulate(run)
    assert world.here == DATA
    assert world.stale == 2


def test_a_peer_that_does_not_have_so_much_yet_is_asked_later():
    async def run():
        world = World()
        world.sources = [PEER]
        ready = iter(range(65_536, len(DATA) + 1, 65_536))
        world.answers["peer"] = lambda begin, _end: DATA[begin : next(ready)] or 416
        await world.fetch().run()
        return world

    assert simulate(run).here == DATA


def test_no_byte_is_asked_for_where_the_disk_has_no_room():
    async def run():
        world = World(room=len(DATA))
        with pytest.raises(StorageFull, match="bytes more"):
            await world.fetch().run()
        return world

    assert simulate(run).downloads.asked == []


def test_a_cap_holds_and_a_closed_window_waits_without_failing():
    async def run():
        world = World(bytes_s=1e6)
        world.policy = PacePolicy(bytes_s=50_000)
        await world.fetch().run()
        assert world.downloads.gentle == 1
        return world.clock.now()

    assert simulate(run) >= (len(DATA) - 50_000) / 50_000

    async def closed():
        world = World()
        world.policy = PacePolicy(windows=(Window(begin=10, end=20),))

        async def later():
            await anyio.sleep(3600)
            world.minute = 15

        async with anyio.create_task_group() as group:
            group.start_soon(later)
            await world.fetch().run()
        return world, world.clock.now()

    world, took = simulate(closed)
    assert world.here == DATA
    assert took >= 3600


def test_nobody_has_it_is_waited_for_a_minute():
    async def run():
        world = World()
        world.sources = []
        with pytest.raises(UpstreamFailed, match="nobody has it now"):
            await world.fetch().run()

    simulate(run)

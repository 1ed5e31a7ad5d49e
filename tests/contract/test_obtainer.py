"""What every Obtainer does, before anything was fetched."""

import pytest

from littoral.domain.errors import UnknownName
from littoral.domain.model import VersionSpec
from littoral.jobs.obtain import Obtaining, World
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.clock import SettableClock
from littoral.testing.obtainer import MemoryObtainer
from littoral.testing.sink import ListSink
from littoral.testing.state import MemoryState

ONE = VersionSpec(name="1", source="file:/nowhere.gguf")


def no_source(scheme: str):
    raise UnknownName(scheme)


@pytest.fixture(params=["memory", "jobs"])
def obtainer(request, tmp_path):
    if request.param == "memory":
        return MemoryObtainer()
    return Obtaining(
        World(
            state=MemoryState(),
            blobs=MemoryBlobs(),
            source=no_source,
            scratch=str(tmp_path),
            sink=ListSink(),
            clock=SettableClock(),
        )
    )


def phases(obtainer) -> list[tuple[str, str, str]]:
    return [(item.model, item.version, item.phase) for item in obtainer.statuses()]


def test_what_was_started_is_pending_and_listed_in_order(obtainer):
    obtainer.start("zeta", ONE)
    obtainer.start("alpha", ONE)
    assert phases(obtainer) == [("alpha", "1", "pending"), ("zeta", "1", "pending")]


def test_starting_twice_is_starting_once(obtainer):
    obtainer.start("m", ONE)
    obtainer.start("m", ONE)
    assert phases(obtainer) == [("m", "1", "pending")]


def test_what_was_cancelled_has_failed_and_can_be_started_again(obtainer):
    obtainer.start("m", ONE)
    obtainer.cancel("m", "1")
    [status] = obtainer.statuses()
    assert (status.phase, bool(status.error)) == ("failed", True)
    obtainer.start("m", ONE)
    assert phases(obtainer) == [("m", "1", "pending")]


def test_cancelling_or_forgetting_the_unknown_is_nothing(obtainer):
    obtainer.cancel("m", "1")
    obtainer.forget("m", "1")
    assert phases(obtainer) == []


def test_what_was_forgotten_is_gone(obtainer):
    obtainer.start("m", ONE)
    obtainer.forget("m", "1")
    assert phases(obtainer) == []

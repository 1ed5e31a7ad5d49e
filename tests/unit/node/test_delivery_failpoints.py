"""Whoever dies, fails or stops at a failpoint of delivery has the whole artefact afterwards."""

from collections import Counter

import pytest

from littoral.domain.errors import LittoralError
from littoral.lab.life import Killed, Life
from littoral.testing.parts import MemoryParts
from unit.node.test_artefact import DATA, DELTA, PARENT, Control, Node, offer, run

NAMES = ("chunk.synced", "delta.verified")


def is_killed(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(is_killed(each) for each in error.exceptions)
    return isinstance(error, Killed)


@pytest.mark.parametrize("act", ["kill", "error", "delay"])
@pytest.mark.parametrize("name", NAMES)
def test_an_artefact_is_whole_after(name, act):
    passes: Counter[str] = Counter()

    async def main(control: Control) -> None:
        control.add(DELTA)
        digest = control.add(DATA, deltas=(offer(),))
        life = Life(lambda _text: None, passes)
        life.arm(name, act)
        node = Node(control, "a", failpoints=life)
        node.put(PARENT)
        node.rebuilds = lambda: bool(node.put(DATA))
        try:
            await node.locate(digest)
        except BaseExceptionGroup as group:
            if not is_killed(group):
                raise
        except LittoralError:
            assert act == "error"
        again = Node(control, "a", failpoints=Life(lambda _text: None, passes))
        again.blobs.files = node.blobs.files
        again.parts = MemoryParts(again.blobs, failpoints=life)
        again.rebuilds = lambda: bool(again.put(DATA))
        assert await again.locate(digest) is not None
        assert again.blobs.files[digest] == DATA

    run(main)
    assert passes[f"{name}={act}"] == 1

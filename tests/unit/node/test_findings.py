"""What gateways find goes to the outbox, also where the disk is full for a while."""

import anyio

from littoral.domain.audit import Vote
from littoral.domain.ids import KeyId, RequestId
from littoral.domain.local import Voted
from littoral.domain.units import Micros
from littoral.node.findings import MOST, RETRY, Findings
from littoral.testing.loop import simulate
from littoral.testing.outbox import MemoryOutbox


def vote(number):
    request = RequestId(f"req_{number}")
    return Voted(vote=Vote(at_us=Micros(1), request=request, key=KeyId("k"), score=1.0))


def written(outbox):
    async def main():
        found, last = [], 0
        while rows := (await outbox.read("sample", last, MOST)).rows:
            found += [row.vote.request for row in rows]
            last = rows[-1].seq
        return found

    return simulate(main)


def test_what_came_together_is_written_together_and_control_is_told():
    outbox, told = MemoryOutbox(), []

    async def main():
        findings = Findings(outbox, lambda: told.append(True))
        findings.take(vote(1))
        findings.take(vote(2))
        async with anyio.create_task_group() as group:
            group.start_soon(findings.run)
            await anyio.sleep(1)
            findings.take(vote(3))
            await anyio.sleep(1)
            group.cancel_scope.cancel()

    simulate(main)
    assert written(outbox) == ["req_1", "req_2", "req_3"]
    assert len(told) == 2


def test_a_full_disk_is_tried_again_and_of_too_many_the_oldest_are_lost():
    outbox = MemoryOutbox()
    outbox.full = True

    async def main():
        findings = Findings(outbox, lambda: None)
        findings.take(vote(0))
        async with anyio.create_task_group() as group:
            group.start_soon(findings.run)
            await anyio.sleep(RETRY / 2)
            for number in range(1, MOST + 1):
                findings.take(vote(number))
            outbox.full = False
            await anyio.sleep(2 * RETRY)
            group.cancel_scope.cancel()

    simulate(main)
    assert written(outbox) == [f"req_{number}" for number in range(1, MOST + 1)]

"""A process that appends usage records to an outbox and says how many are safe, until killed."""

import sys

import anyio

from littoral.app.system import SystemClock, SystemEntropy, SystemFailpoints
from littoral.stores.outbox import SqliteOutbox
from littoral.testing.sink import ListSink
from littoral.testing.usage import usage_record

GROUP = 250


async def write(path: str, first: int, last: int) -> None:
    """Append records ``first`` to ``last`` - 1, some together, and name how far each sync came."""
    ports = {"clock": SystemClock(), "entropy": SystemEntropy()}
    async with SqliteOutbox.open(
        path, failpoints=SystemFailpoints(""), sink=ListSink(), **ports
    ) as outbox:
        for start in range(first, last, GROUP):
            end = min(last, start + GROUP)
            await outbox.append([usage_record(number) for number in range(start, end)])
            sys.stdout.write(f"{end}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    anyio.run(write, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

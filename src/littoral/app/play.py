"""Play: the frame around an asynchronous role, from its settings to its exit status."""

import os
import signal
from collections.abc import Awaitable, Callable

import anyio

from littoral.app.handed import Handed, failed, handed
from littoral.domain.errors import LittoralError

STDIN = 0


def play(main: Callable[[Handed, anyio.Event], Awaitable[None]]) -> int:
    """Run a role until a signal, or the end of the parent, sets its event.

    Returns:
        The exit status: 0, or ``REFUSED`` or ``FAILED`` with the reason as the log's last line.
    """
    try:
        anyio.run(_play, main, handed())
    except LittoralError as error:
        return failed(error)
    except BaseExceptionGroup as group:
        errors, foreign = group.split(LittoralError)
        if errors is None or foreign is not None:
            raise
        return failed(_first(errors))
    return 0


def _first(group: BaseExceptionGroup[LittoralError]) -> LittoralError:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


async def _play(main: Callable[[Handed, anyio.Event], Awaitable[None]], given: Handed) -> None:
    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(_on_signal, stop)
        group.start_soon(_on_orphaned, stop)
        await main(given, stop)
        group.cancel_scope.cancel()


async def _on_signal(stop: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _number in signals:
            stop.set()


async def _on_orphaned(stop: anyio.Event) -> None:
    """The end of standard input is the end of the parent."""
    os.set_blocking(STDIN, False)
    while True:
        await anyio.wait_readable(STDIN)
        if not os.read(STDIN, 4096):
            stop.set()
            return

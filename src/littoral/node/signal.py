"""Signal: wake everybody who waits for a change; whoever comes later waits for the next one."""

import anyio


class Signal:
    """An event that can happen again. Look at the state first, then wait: nothing is missed."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def notify(self) -> None:
        """Wake all who wait now."""
        event, self._event = self._event, None
        if event is not None:
            event.set()

    async def wait(self, *, at_most_s: float | None = None) -> bool:
        """Wait for the next ``notify``; False when ``at_most_s`` passed first."""
        event = self._event = self._event or anyio.Event()
        if at_most_s is None:
            await event.wait()
            return True
        with anyio.move_on_after(at_most_s):
            await event.wait()
        return event.is_set()

"""Door: control's public listener as an edge reaches it, over its link and at control's mercy."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

from littoral.control.public import PublicApi
from littoral.domain.enrolment import (
    Authorities,
    Challenge,
    Doors,
    JoinAnswer,
    JoinRequest,
    Place,
    RenewRequest,
    Trusted,
)
from littoral.domain.errors import ControlUnreachable
from littoral.domain.ids import NodeId
from littoral.domain.upkeep import Issued
from littoral.lab.life import InjectedError, Killed
from littoral.lab.wan import DIAL, Link
from littoral.testing.registrar import MemoryRegistrar

URL: Final = "https://control.test:8444"
SESSION: Final = "wss://control.test:8445"
DOORS: Final = Doors(
    public=Place(host="192.0.2.7", port=8444),
    session=Place(host="192.0.2.7", port=8445),
    public_url=URL,
    session_url=SESSION,
    names=("control.test",),
)
T = TypeVar("T")


class PlayedRegistrar:
    """A ``Registrar`` whose calls are late, cut, lost, or end control.

    Args:
        link: The way there.
        door: What answers; None while control is down.
        kill: Ends control: it was killed while it answered.
    """

    def __init__(
        self, link: Link, door: Callable[[], PublicApi | None], *, kill: Callable[[], None]
    ) -> None:
        self._link = link
        self._door = door
        self._kill = kill

    async def authorities(self, url: str) -> Authorities:
        """The roots of whoever answers."""
        return await self._asked(lambda twin: twin.authorities(url))

    async def join(self, trust: Trusted, request: JoinRequest) -> JoinAnswer:
        """Become a node."""
        return await self._asked(lambda twin: twin.join(trust, request))

    async def challenge(self, trust: Trusted, node: NodeId) -> Challenge:
        """Get a nonce to sign."""
        return await self._asked(lambda twin: twin.challenge(trust, node))

    async def renew(self, trust: Trusted, node: NodeId, request: RenewRequest) -> Issued:
        """Get a new certificate by proof of possession."""
        return await self._asked(lambda twin: twin.renew(trust, node, request))

    async def _asked(self, call: Callable[[MemoryRegistrar], Awaitable[T]]) -> T:
        await self._pass()
        door = self._door()
        if door is None:
            raise ControlUnreachable("nobody answers: control is down")
        try:
            answer = await call(MemoryRegistrar({URL: door}))
        except InjectedError as error:
            raise ControlUnreachable("control failed") from error
        except Killed:
            self._kill()
            raise ControlUnreachable("control was killed") from None
        await self._pass()
        return answer

    async def _pass(self) -> None:
        """One way; a question or an answer may be lost."""
        if self._link.is_cut:
            await anyio.sleep(DIAL)
            raise ControlUnreachable("nobody answers: timed out")
        await anyio.sleep(self._link.delay(self._link.chance()))

"""Member: how a simulated box becomes a node, and what it keeps that up with."""

from collections.abc import Callable

from littoral.domain.enrolment import CHAIN, REVOKED, Inventory
from littoral.domain.errors import LittoralError
from littoral.domain.link import Peer
from littoral.domain.ports import Chance
from littoral.lab.box import Box
from littoral.lab.door import URL, PlayedRegistrar
from littoral.lab.life import Life
from littoral.node.enrolment import Joining, Wish
from littoral.node.identity import Credentials, IdentityStore
from littoral.node.renewal import Joined
from littoral.testing.entropy import SeededEntropy

FACTS = Inventory(cores=2)
KEPT = "join-ticket"


class Member:
    """One life's view of who a box is.

    Args:
        name: As which it wishes to join.
        box: Where that is kept.
        life: Of the process.
        registrar: Speaks to control.
        chance: Seeds its keys.
    """

    def __init__(
        self, name: str, box: Box, life: Life, *, registrar: PlayedRegistrar, chance: Chance
    ) -> None:
        self._name = name
        self._box = box
        self._registrar = registrar
        self._store = IdentityStore(box.disk, life)
        self._shown: tuple[bytes | None, Peer] | None = None
        self.entropy = SeededEntropy(int(chance.random() * 1e9))

    def held(self) -> Credentials | None:
        """Who it is; None where it has not joined, or is a node no longer."""
        return None if self._box.disk.read(REVOKED) is not None else self._store.read()

    async def join(self, token: Callable[[], str | None]) -> Credentials:
        """Join, or go on with a join that was cut off; the former node's place is taken.

        Args:
            token: A new token; None while control gives none.
        """
        disk = self._box.disk
        kept = disk.read(KEPT)
        made = kept.decode() if kept is not None else token()
        if made is None:
            raise Waiting("there is no token")
        disk.write(KEPT, made.encode())
        joining = Joining(
            self._store,
            disk=disk,
            registrar=self._registrar,
            clock=self._box.clock,
            entropy=self.entropy,
        )
        wish = Wish(url=URL, token=made, name=self._name, facts=FACTS)
        former = self._store.read()
        disk.remove(REVOKED)
        try:
            found = await joining.join(wish, former=former)
        except LittoralError as error:
            if error.code in {"token_used", "token_wrong"}:
                disk.remove(KEPT)
            raise Waiting(error.message) from error
        disk.remove(KEPT)
        return found

    def joined(self, held: Credentials) -> Joined:
        """What keeps its certificate good."""
        return Joined(credentials=held, registrar=self._registrar, entropy=self.entropy)

    def peer(self) -> Peer:
        """Who it shows that it is, now: its certificate is read anew where that is another one."""
        chain = self._box.disk.read(CHAIN)
        if self._shown is not None and self._shown[0] == chain:
            return self._shown[1]
        held = self._store.read()
        if held is None:
            raise Waiting("it is no node")
        life = held.life
        peer = Peer(
            node=held.identity.node,
            serial=f"{life.serial:x}",
            from_us=life.begin_us,
            until_us=life.end_us,
        )
        self._shown = chain, peer
        return peer


class Waiting(LittoralError):
    """A box cannot be a node yet: its process ends, and is started again."""

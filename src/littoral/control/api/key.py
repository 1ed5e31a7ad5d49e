"""Keys: list, mint, tag, revoke."""

from collections.abc import Sequence
from functools import partial

from littoral.control.desk import Desk
from littoral.control.route import Call, Needs, Route
from littoral.domain.project import Key
from littoral.domain.upkeep import Revoke
from littoral.domain.view import KeyChange, KeyRequest, MintedKey


class KeyApi:
    """Handlers of API keys."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="GET",
                path="/api/v1/keys",
                handler=self.list,
                policy=Needs("key.read"),
                summary="All keys, oldest first; never their secrets.",
                gives=tuple[Key, ...],
            ),
            Route(
                method="POST",
                path="/api/v1/keys",
                handler=self.mint,
                policy=Needs("key.write"),
                summary="Mint a key; its text is in this answer only.",
                takes=KeyRequest,
                gives=MintedKey,
                status=201,
            ),
            Route(
                method="PATCH",
                path="/api/v1/keys/{id}",
                handler=self.change,
                policy=Needs("key.write"),
                summary="Give a key another tag.",
                takes=KeyChange,
                gives=Key,
            ),
            Route(
                method="DELETE",
                path="/api/v1/keys/{id}",
                handler=self.revoke,
                policy=Needs("key.write"),
                summary="Revoke a key.",
                gives=Key,
            ),
        )

    async def list(self, call: Call) -> Sequence[Key]:
        """All keys."""
        del call
        return await self._desk.workers.state(self._desk.keys.list)

    async def mint(self, call: Call) -> MintedKey:
        """Mint a key within the caller's own scopes; the nodes know it when the answer comes."""
        desk = self._desk
        request = call.read(KeyRequest)
        minted = await desk.workers.state(partial(desk.keys.mint, request, by=call.principal))
        await desk.delivery.everywhere()
        return minted

    async def change(self, call: Call) -> Key:
        """Change a key within the caller's own scopes; the nodes know it when the answer comes."""
        desk = self._desk
        tag = call.read(KeyChange).tag
        change = partial(desk.keys.tag, call.path["id"], tag, by=call.principal)
        key = await desk.workers.state(change)
        await desk.delivery.everywhere()
        return key

    async def revoke(self, call: Call) -> Key:
        """Revoke a key within the caller's own scopes; the nodes then refuse it."""
        desk = self._desk
        revoke = partial(desk.keys.revoke, call.path["id"], by=call.principal)
        key = await desk.workers.state(revoke)
        number = await desk.workers.state(desk.state.revision)
        await desk.links.tell_all(Revoke(number=number, keys=(key.id,)))
        await desk.delivery.everywhere()
        return key

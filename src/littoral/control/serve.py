"""Serve: the admin API on a unix socket and the session listener, until cancelled."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import anyio
from anyio.abc import SocketAttribute

from littoral.control.absence import Absences
from littoral.control.desk import Desk
from littoral.control.listener import Server, config, listen, until_cancelled
from littoral.control.parts import Control, assemble
from littoral.control.world import ControlParts
from littoral.domain.enrolment import Place
from littoral.domain.errors import LittoralError
from littoral.domain.link import Peer, Shown
from littoral.domain.ports import Network, State
from littoral.domain.site import Disconnect, SiteSpec
from littoral.trust.certificate import Issuer

WATCH_S = 0.25


async def serve(parts: ControlParts, *, api_socket: str, session_address: str) -> None:
    """Serve until cancelled; requests under way are then finished first.

    Call ``first_start`` before. Returns only by cancellation or an error.

    Args:
        parts: Ports and facts from the app.
        api_socket: Path of the admin API's socket; made with mode 0600.
        session_address: Where nodes dial.
    """
    control = assemble(parts)
    async with await anyio.create_unix_listener(api_socket, mode=0o600) as listener:
        raw = listener.extra(SocketAttribute.raw_socket)  # noqa: S610  anyio's, not Django's
        server = Server(config(control.app))
        async with anyio.create_task_group() as group:
            group.start_soon(_listen, control, parts.network, session_address)
            group.start_soon(_watch, control.desk, parts.report)
            group.start_soon(control.desk.neighbours.run)
            group.start_soon(control.desk.publisher.census.run, control.desk.bell)
            group.start_soon(until_cancelled, server)
            if (place := parts.doors.session) is not None and parts.remote is not None:
                network = parts.remote(_shown(parts, control.desk), partial(admit, control.desk))
                group.start_soon(_listen, control, network, url_of(place))
            if (place := parts.doors.public) is not None:
                group.start_soon(listen, control.public, place, _certificate(parts, control.desk))
            group.start_soon(control.desk.node_blobs.run)
            group.start_soon(control.desk.deltas.run)
            group.start_soon(control.desk.sweep.run)
            group.start_soon(control.desk.archive.run)
            group.start_soon(control.desk.rollouts.run)
            group.start_soon(_absences(control.desk).run)
            group.start_soon(control.desk.updates.run)
            if parts.tunnel is not None:
                group.start_soon(control.relay.attach, parts.tunnel)
            with anyio.CancelScope(shield=True):
                await server.serve(sockets=[raw])
            group.cancel_scope.cancel()


def _absences(desk: Desk) -> Absences:
    return Absences(desk.fleet, clock=desk.clock, sink=desk.events)


def _certificate(parts: ControlParts, desk: Desk) -> Callable[[], Awaitable[Issuer]]:
    """Makes control's own certificate, where the state is touched one call at a time."""

    async def made() -> Issuer:
        return await desk.workers.state(partial(desk.authority.server, parts.doors.names))

    return made


def _shown(parts: ControlParts, desk: Desk) -> Callable[[], Awaitable[Shown]]:
    """What control shows to nodes, and whom it trusts."""

    def made() -> Shown:
        own = desk.authority.server(parts.doors.names)
        return Shown(chain=own.certificate, key=own.key, roots=desk.authority.bundle())

    async def asked() -> Shown:
        return await desk.workers.state(made)

    return asked


def admit(desk: Desk, peer: Peer) -> str:
    """Why a node may not open a session; empty where it may."""
    return desk.fleet.admit(peer)


def url_of(place: Place) -> str:
    """Where sessions are served."""
    host = f"[{place.host}]" if ":" in place.host else place.host
    return f"wss://{host}:{place.port}"


async def _listen(control: Control, network: Network, address: str) -> None:
    async with network.listen(address, control.sessions.serve):
        await anyio.sleep_forever()


async def _watch(desk: Desk, report: Callable[[str, BaseException], None]) -> None:
    """Notice what moves without the API, and write events down, until cancelled."""
    seen: object = None
    told = -1
    while True:
        try:
            mark, number = await _mark(desk), desk.events.number
            if mark != seen:
                seen = mark
                desk.fleet.agree(await desk.workers.state(partial(disconnects, desk.state)))
                desk.bell.ring()
            if number != told:
                await desk.workers.state(desk.events.flush)
                told = number
        except LittoralError as error:
            report("watch", error)
        await anyio.sleep(WATCH_S)


def disconnects(state: State) -> Mapping[str, Disconnect]:
    """What is agreed for each site about nodes that are not heard of."""
    return {
        item.metadata.name: item.spec.disconnect
        for item in state.list("Site")
        if isinstance(item.spec, SiteSpec)
    }


async def _mark(desk: Desk) -> object:
    """What differs when the desired state may have changed."""
    revision = await desk.workers.state(desk.state.revision)
    phases = [(item.model, item.version, item.phase) for item in desk.obtainer.statuses()]
    return revision, phases

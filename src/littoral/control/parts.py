"""Parts: control assembled: what it serves at each of its doors."""

from dataclasses import dataclass

from fastapi import FastAPI

from littoral.control.blob_route import BlobApi
from littoral.control.desk import Desk
from littoral.control.operations import routes
from littoral.control.public import PublicApi
from littoral.control.relay import Relay
from littoral.control.route import Gate, build_app
from littoral.control.services import URL_KEY, desk_of
from littoral.control.session import SessionParts, Sessions
from littoral.control.sharing import Sharing
from littoral.control.vault import Vault
from littoral.control.world import ControlParts
from littoral.trust.envelope import derive


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Control, assembled and not yet serving: the admin API, and what machines elsewhere ask."""

    app: FastAPI
    public: FastAPI
    door: PublicApi
    sessions: Sessions
    relay: Relay
    desk: Desk


def assemble(parts: ControlParts) -> Control:
    """Put control together; opens nothing.

    Raises:
        Damaged: The state does not open with this master key.
        Unguarded: A route has no policy.
    """
    desk, relay, sessions = backstage(parts)
    gate = Gate(
        desk.keys,
        desk.workers,
        clock=parts.clock,
        entropy=parts.entropy,
        report=parts.report,
    )
    door = public_door(desk)
    blobs = BlobApi(
        blobs=parts.blobs,
        clock=parts.clock,
        workers=desk.workers,
        url_key=derive(parts.master_key, purpose=URL_KEY),
    )
    return Control(
        app=build_app(routes(desk), gate),
        public=build_app((*door.routes(), *blobs.routes()), gate),
        door=door,
        sessions=sessions,
        relay=relay,
        desk=desk,
    )


def backstage(parts: ControlParts) -> tuple[Desk, Relay, Sessions]:
    """Put together what control does without its admin API: the services, and node sessions.

    Raises:
        Damaged: The state does not open with this master key.
    """
    desk = desk_of(parts, Vault(parts.master_key, parts.entropy))
    relay = Relay(desk.fleet, lambda: desk.publisher.residencies)
    sessions = Sessions(
        SessionParts(
            fleet=desk.fleet,
            publisher=desk.publisher,
            delivery=desk.delivery,
            blobs=desk.node_blobs,
            rollouts=desk.rollouts,
            updates=desk.updates,
            ledger=parts.ledger,
            inbox=parts.inbox,
            clock=parts.clock,
            failpoints=parts.failpoints,
            sink=parts.events,
            workers=desk.workers,
            bell=desk.bell,
            relay=relay,
            neighbours=desk.neighbours,
            enrolments=desk.enrolments,
            links=desk.links,
            sharing=Sharing(desk.shares, desk.workers),
            quality=desk.quality,
            priors=desk.priors,
            report=parts.report,
            coalesce_s=parts.coalesce_s,
            silence_s=parts.silence_s,
        )
    )
    return desk, relay, sessions


def public_door(desk: Desk) -> PublicApi:
    """What machines elsewhere may ask for, on the public listener."""
    return PublicApi(
        desk.enrolments,
        authority=desk.authority,
        fleet=desk.fleet,
        workers=desk.workers,
    )

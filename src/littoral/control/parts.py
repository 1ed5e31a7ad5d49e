"""What control is made of: ports and facts from the app, and the parts assembled from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from fastapi import FastAPI

from littoral.control.apply import Resources
from littoral.control.archive import Archive, ArchiveParts
from littoral.control.authority import Authority
from littoral.control.blob_route import BlobApi
from littoral.control.blobs import BlobParts, NodeBlobs
from littoral.control.check import Statuses, statuses_by_version
from littoral.control.credential import Credentials
from littoral.control.delivery import Delivery
from littoral.control.deltas import DeltaParts, Deltas, awaits
from littoral.control.desk import Desk
from littoral.control.driver import driver_check
from littoral.control.enrolment import EnrolmentParts, Enrolments
from littoral.control.event import Events
from littoral.control.fleet import DISCONNECTED_S, Fleet, agreed
from littoral.control.key import Keys
from littoral.control.link import Links
from littoral.control.operations import routes
from littoral.control.place import Places
from littoral.control.public import PublicApi
from littoral.control.publish import Publisher
from littoral.control.relay import Relay
from littoral.control.releases import Releases
from littoral.control.remote import LOOK_S, Neighbours
from littoral.control.rollouts import EntropyChance, RolloutParts, Rollouts
from littoral.control.roster import Roster
from littoral.control.route import Gate, build_app
from littoral.control.session import COALESCE_S, SessionParts, Sessions
from littoral.control.shares import ShareBook
from littoral.control.sharing import Sharing
from littoral.control.signer import Signer
from littoral.control.site import Site, load_site
from littoral.control.updates import Updates
from littoral.control.vault import Vault
from littoral.control.watching import prices_of
from littoral.control.worker import Bell, Workers
from littoral.domain.chunk import ChunkStore
from littoral.domain.enrolment import CLOSED, Doors
from littoral.domain.ids import Digest, NodeId
from littoral.domain.model import ModelSpec
from littoral.domain.pace import PacePolicy, pace_of
from littoral.domain.pipe import Remote
from littoral.domain.ports import (
    Blobs,
    Clock,
    Entropy,
    Failpoints,
    Inbox,
    Ledger,
    Network,
    Obtainer,
    Registry,
    State,
    Tunnel,
)
from littoral.domain.session import Frame
from littoral.domain.units import Seconds
from littoral.placement.history import Priced
from littoral.trust.envelope import KEY_BYTES, derive
from littoral.trust.ticket import PURPOSE

URL_KEY: Final = "blob-url"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlParts:
    """Everything control takes from the app.

    ``events`` is also the Sink for whatever else runs in this process. ``report`` takes a foreign
    error and what it interrupted, for the log. ``master_key`` is 32 bytes. ``pack`` encodes frames
    and parts of snapshots. ``first_start`` has run. ``workers`` run blocking calls.
    """

    state: State
    ledger: Ledger
    inbox: Inbox
    chunks: ChunkStore
    blobs: Blobs
    obtainer: Obtainer
    registry: Registry
    network: Network
    clock: Clock
    entropy: Entropy
    failpoints: Failpoints
    events: Events
    report: Callable[[str, BaseException], None]
    catalogue: Mapping[str, ModelSpec]
    master_key: bytes
    pack: Callable[[Frame], bytes]
    build: str
    doors: Doors = CLOSED
    remote: Remote | None = None
    tunnel: Tunnel | None = None
    coalesce_s: Seconds = COALESCE_S
    silence_s: Seconds = DISCONNECTED_S
    look_s: Seconds = LOOK_S
    workers: Workers = field(default_factory=Workers)


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
    desk = _desk(parts, Vault(parts.master_key, parts.entropy))
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
        bell=desk.bell,
    )


def _node_blobs(
    parts: ControlParts,
    fleet: Fleet,
    signer: Signer,
    *,
    resources: Resources,
    workers: Workers,
    bell: Bell,
) -> NodeBlobs:
    def sites() -> dict[NodeId, str]:
        return {node.id: node.site for node in fleet.nodes() if node.state != "disconnected"}

    def pace(site: str) -> PacePolicy:
        return pace_of(agreed(parts.state, site).bandwidth)

    def waits(digest: Digest) -> bool:
        return awaits(parts.state, digest, resources.specs(), statuses=_statuses(parts))

    return NodeBlobs(
        BlobParts(
            state=parts.state,
            blobs=parts.blobs,
            clock=parts.clock,
            workers=workers,
            bell=bell,
            sink=parts.events,
            seed=lambda: signer.keys.present,
            url=parts.doors.public_url,
            url_key=derive(parts.master_key, purpose=URL_KEY),
            statuses=parts.obtainer.statuses,
            sites=sites,
            pace=pace,
            awaits=waits,
        )
    )


def _deltas(
    parts: ControlParts, blobs: NodeBlobs, resources: Resources, *, workers: Workers, bell: Bell
) -> Deltas:
    return Deltas(
        DeltaParts(
            state=parts.state,
            blobs=parts.blobs,
            clock=parts.clock,
            workers=workers,
            bell=bell,
            sink=parts.events,
            node_blobs=blobs,
            specs=resources.specs,
            statuses=partial(_statuses, parts),
        )
    )


def _rollouts(
    parts: ControlParts, fleet: Fleet, resources: Resources, *, workers: Workers, bell: Bell
) -> Rollouts:
    return Rollouts(
        RolloutParts(
            state=parts.state,
            clock=parts.clock,
            chance=EntropyChance(parts.entropy),
            workers=workers,
            bell=bell,
            sink=parts.events,
            failpoints=parts.failpoints,
            specs=resources.specs,
            endpoints=fleet.endpoints,
        )
    )


def _desk(parts: ControlParts, vault: Vault) -> Desk:
    site = load_site(parts.state, vault)
    fleet, workers, bell = Fleet(parts.state, clock=parts.clock), parts.workers, Bell()
    signer = Signer(parts.state, vault, clock=parts.clock, entropy=parts.entropy)
    publisher = Publisher(
        parts.state,
        site,
        places=Places(parts.state, vault, fleet=fleet, entropy=parts.entropy, home=site.pepper),
        signer=signer,
        pack=parts.pack,
        keys=(keys := Keys(parts.state, vault, clock=parts.clock, entropy=parts.entropy)),
        resources=(resources := _resources(parts, vault, partial(_statuses, parts))),
        statuses=partial(_statuses, parts),
        clock=parts.clock,
        neighbours=fleet.spots,
    )
    node_blobs = _node_blobs(parts, fleet, signer, resources=resources, workers=workers, bell=bell)
    releases = _releases(parts, node_blobs, bell)
    return Desk(
        state=parts.state,
        ledger=parts.ledger,
        blobs=parts.blobs,
        obtainer=parts.obtainer,
        clock=parts.clock,
        resources=resources,
        keys=keys,
        fleet=fleet,
        authority=(authority := _authority(parts, vault, site)),
        enrolments=Enrolments(_enrolment(parts, authority, fleet, site=site, signer=signer)),
        links=Links(parts.clock),
        neighbours=Neighbours(fleet, look_s=parts.look_s),
        node_blobs=node_blobs,
        rollouts=_rollouts(parts, fleet, resources, workers=workers, bell=bell),
        archive=_archive(parts, resources),
        releases=releases,
        updates=Updates(releases, fleet, signer=signer, clock=parts.clock, sink=parts.events),
        deltas=_deltas(parts, node_blobs, resources, workers=workers, bell=bell),
        roster=_roster(parts, fleet),
        publisher=publisher,
        shares=ShareBook(parts.state, parts.clock, fleet=fleet, publisher=publisher),
        signer=signer,
        delivery=Delivery(publisher, workers, bell),
        events=parts.events,
        workers=workers,
        bell=bell,
        site=site,
        catalogue=parts.catalogue,
        build=parts.build,
        started_us=parts.clock.wall(),
    )


def _releases(parts: ControlParts, node_blobs: NodeBlobs, bell: Bell) -> Releases:
    releases = Releases(parts.state, parts.blobs, workers=parts.workers, bell=bell)
    node_blobs.wheels = releases.wheels
    return releases


def _archive(parts: ControlParts, resources: Resources) -> Archive:
    async def prices() -> Mapping[str, Priced]:
        return prices_of(await parts.workers.state(resources.specs))

    return Archive(
        ArchiveParts(
            ledger=parts.ledger,
            chunks=parts.chunks,
            clock=parts.clock,
            sink=parts.events,
            workers=parts.workers,
            prices=prices,
            report=parts.report,
        )
    )


def _statuses(parts: ControlParts) -> Statuses:
    """What is known of model versions now."""
    return statuses_by_version(parts.obtainer.statuses())


def _resources(parts: ControlParts, vault: Vault, statuses: Callable[[], Statuses]) -> Resources:
    return Resources(
        parts.state,
        Credentials(vault),
        clock=parts.clock,
        statuses=statuses,
        check=driver_check(parts.registry, statuses),
    )


def _roster(parts: ControlParts, fleet: Fleet) -> Roster:
    return Roster(parts.state, fleet, clock=parts.clock, sink=parts.events)


def _authority(parts: ControlParts, vault: Vault, site: Site) -> Authority:
    return Authority(
        parts.state, vault, clock=parts.clock, entropy=parts.entropy, cluster=site.cluster
    )


def _enrolment(
    parts: ControlParts, authority: Authority, fleet: Fleet, *, site: Site, signer: Signer
) -> EnrolmentParts:
    return EnrolmentParts(
        state=parts.state,
        authority=authority,
        fleet=fleet,
        clock=parts.clock,
        entropy=parts.entropy,
        failpoints=parts.failpoints,
        sink=parts.events,
        doors=parts.doors,
        cluster=site.cluster,
        ticket_key=derive(parts.master_key, purpose=PURPOSE),
        nonce_key=parts.entropy.bytes(KEY_BYTES),
        snapshot_keys=lambda: tuple(each.hex() for each in signer.keys.publics.values()),
    )

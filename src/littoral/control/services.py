"""Services: what control does, each part made and told of the others."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from littoral.control.apply import Resources
from littoral.control.archive import Archive, ArchiveParts
from littoral.control.authority import Authority
from littoral.control.blobs import BlobParts, NodeBlobs
from littoral.control.census import Census
from littoral.control.check import Statuses, statuses_by_version
from littoral.control.credential import Credentials
from littoral.control.delivery import Delivery
from littoral.control.deltas import DeltaParts, Deltas, awaits
from littoral.control.desk import Desk
from littoral.control.driver import driver_check
from littoral.control.enrolment import EnrolmentParts, Enrolments
from littoral.control.fleet import Fleet, agreed
from littoral.control.key import Keys
from littoral.control.link import Links
from littoral.control.place import Places
from littoral.control.priors import Priors
from littoral.control.publish import Publisher
from littoral.control.quality import QualityBook
from littoral.control.releases import Releases
from littoral.control.remote import Neighbours
from littoral.control.rollouts import EntropyChance, RolloutParts, Rollouts
from littoral.control.roster import Roster
from littoral.control.shares import ShareBook
from littoral.control.signer import Signer
from littoral.control.site import Site, load_site
from littoral.control.sweep import StoreSweep, SweepParts
from littoral.control.updates import Updates
from littoral.control.vault import Vault
from littoral.control.watching import prices_of
from littoral.control.worker import Bell, Workers
from littoral.control.world import ControlParts
from littoral.domain.ids import Digest, NodeId
from littoral.domain.pace import PacePolicy, pace_of
from littoral.placement.history import Priced
from littoral.trust.envelope import KEY_BYTES, derive
from littoral.trust.ticket import PURPOSE

URL_KEY: Final = "blob-url"


def desk_of(parts: ControlParts, vault: Vault) -> Desk:
    """Everything that handlers work with."""
    site = load_site(parts.state, vault)
    fleet, workers, bell = Fleet(parts.state, clock=parts.clock), parts.workers, Bell()
    publisher = Publisher(
        parts.state,
        site,
        places=Places(parts.state, vault, fleet=fleet, entropy=parts.entropy, home=site.pepper),
        signer=(signer := Signer(parts.state, vault, clock=parts.clock, entropy=parts.entropy)),
        pack=parts.pack,
        keys=(keys := Keys(parts.state, vault, clock=parts.clock, entropy=parts.entropy)),
        resources=(resources := _resources(parts, vault, partial(_statuses, parts))),
        statuses=partial(_statuses, parts),
        clock=parts.clock,
        census=Census(fleet, parts.clock),
    )
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
        node_blobs=(blobs := _node_blobs(parts, fleet, signer, resources=resources, bell=bell)),
        rollouts=_rollouts(parts, fleet, resources, workers=workers, bell=bell),
        archive=_archive(parts, resources),
        priors=_priors(parts, bell),
        releases=(releases := _releases(parts, blobs, bell)),
        updates=Updates(releases, fleet, signer=signer, clock=parts.clock, sink=parts.events),
        deltas=_deltas(parts, blobs, resources, workers=workers, bell=bell),
        sweep=_sweep(parts, blobs),
        roster=_roster(parts, fleet),
        publisher=publisher,
        quality=_quality(parts, resources, publisher),
        shares=_shares(parts, fleet, publisher),
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


def _node_blobs(
    parts: ControlParts,
    fleet: Fleet,
    signer: Signer,
    *,
    resources: Resources,
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
            workers=parts.workers,
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


def _quality(parts: ControlParts, resources: Resources, publisher: Publisher) -> QualityBook:
    found = QualityBook(
        parts.state,
        parts.inbox,
        parts.ledger,
        specs=resources.specs,
        clock=parts.clock,
        sink=parts.events,
    )
    publisher.standings = found.standings
    return found


def _releases(parts: ControlParts, node_blobs: NodeBlobs, bell: Bell) -> Releases:
    releases = Releases(parts.state, parts.blobs, workers=parts.workers, bell=bell)
    node_blobs.wheels = releases.wheels
    return releases


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


def _priors(parts: ControlParts, bell: Bell) -> Priors:
    return Priors(parts.state, parts.clock, sink=parts.events, workers=parts.workers, bell=bell)


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


def _shares(parts: ControlParts, fleet: Fleet, publisher: Publisher) -> ShareBook:
    return ShareBook(
        parts.state,
        parts.clock,
        fleet=fleet,
        publisher=publisher,
        failpoints=parts.failpoints,
    )


def _sweep(parts: ControlParts, blobs: NodeBlobs) -> StoreSweep:
    return StoreSweep(
        SweepParts(
            state=parts.state,
            blobs=parts.blobs,
            clock=parts.clock,
            workers=parts.workers,
            sink=parts.events,
            report=parts.report,
            node_blobs=blobs,
            statuses=parts.obtainer.statuses,
            beside=parts.beside,
        )
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

"""Desk: what the handlers of the admin API work with."""

from collections.abc import Mapping
from dataclasses import dataclass

from littoral.control.apply import Resources
from littoral.control.archive import Archive
from littoral.control.authority import Authority
from littoral.control.blobs import NodeBlobs
from littoral.control.delivery import Delivery
from littoral.control.deltas import Deltas
from littoral.control.enrolment import Enrolments
from littoral.control.event import Events
from littoral.control.fleet import Fleet
from littoral.control.key import Keys
from littoral.control.link import Links
from littoral.control.priors import Priors
from littoral.control.publish import Publisher
from littoral.control.quality import QualityBook
from littoral.control.releases import Releases
from littoral.control.remote import Neighbours
from littoral.control.rollouts import Rollouts
from littoral.control.roster import Roster
from littoral.control.shares import ShareBook
from littoral.control.signer import Signer
from littoral.control.site import Site
from littoral.control.sweep import StoreSweep
from littoral.control.updates import Updates
from littoral.control.worker import Bell, Workers
from littoral.domain.model import ModelSpec
from littoral.domain.ports import Blobs, Clock, Ledger, Obtainer, State
from littoral.domain.units import Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Stores, services and facts; handlers touch the state through ``workers`` only."""

    state: State
    ledger: Ledger
    archive: Archive
    priors: Priors
    blobs: Blobs
    obtainer: Obtainer
    clock: Clock
    resources: Resources
    keys: Keys
    fleet: Fleet
    authority: Authority
    enrolments: Enrolments
    links: Links
    neighbours: Neighbours
    roster: Roster
    publisher: Publisher
    quality: QualityBook
    shares: ShareBook
    signer: Signer
    delivery: Delivery
    node_blobs: NodeBlobs
    deltas: Deltas
    sweep: StoreSweep
    rollouts: Rollouts
    releases: Releases
    updates: Updates
    events: Events
    workers: Workers
    bell: Bell
    site: Site
    catalogue: Mapping[str, ModelSpec]
    build: str
    started_us: Micros

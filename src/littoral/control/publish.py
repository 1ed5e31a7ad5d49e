"""Publisher: compiles each node's snapshot from the state, and remembers the versions given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec

from littoral.control.apply import Resources
from littoral.control.census import Census
from littoral.control.check import Specs, Statuses
from littoral.control.compiler import Desired, Memo, compile_snapshot
from littoral.control.key import Keys
from littoral.control.place import Place, Places
from littoral.control.priors import kept_priors
from littoral.control.rollouts import kept_rollouts
from littoral.control.signer import Signer
from littoral.control.site import Site, raise_epoch
from littoral.domain.audit import Standing
from littoral.domain.ids import NodeId, ProjectId
from littoral.domain.limits import Limits
from littoral.domain.ports import Clock, State
from littoral.domain.project import Key, KeyGrant
from littoral.domain.reach import Residency
from littoral.domain.session import Frame
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros
from littoral.trust.manifest import Issued, issue

_PREFIX = "snapshot/"


class Publisher:
    """Snapshots by node. Its calls touch the state: one at a time, in a worker.

    Args:
        state: Where memos are kept.
        site: Epoch and cluster.
        places: Where each node stands, and what its site has agreed.
        signer: Signs them.
        pack: Encodes their parts.
        keys: The keys to grant.
        resources: The specs, credentials opened.
        statuses: What is known of model versions.
        clock: Stamps snapshots.
        census: The nodes to name.
    """

    def __init__(  # noqa: PLR0913  all that a snapshot is made from
        self,
        state: State,
        site: Site,
        *,
        places: Places,
        signer: Signer,
        pack: Callable[[Frame], bytes],
        keys: Keys,
        resources: Resources,
        statuses: Callable[[], Statuses],
        clock: Clock,
        census: Census,
    ) -> None:
        self._state = state
        self._site = site
        self._places = places
        self._signer = signer
        self._pack = pack
        self._keys = keys
        self._resources = resources
        self._statuses = statuses
        self._clock = clock
        self.census = census
        """The nodes that snapshots name."""
        self.residencies: Mapping[ProjectId, Residency] = {}
        """Where the requests of projects may be, as of the last snapshot."""
        self.standings: Callable[[Specs], Sequence[Standing]] = _unaudited
        """What audits say of policies."""
        self.limits: Mapping[str, Limits] = {}
        """All limits, as of the last snapshot."""
        self._known: dict[str, tuple[Sequence[Key], Sequence[KeyGrant]]] = {}

    def compile(self, node: NodeId) -> Snapshot:
        """The snapshot that this node shall serve now."""
        specs = self._resources.opened_specs()
        place = self._places.of(node, specs)
        desired = Desired(
            epoch=self._site.epoch,
            pepper=place.pepper,
            keys=self._grants(place),
            specs=specs,
            statuses=self._statuses(),
            rollouts=kept_rollouts(self._state),
            key_limits=self._keys.limits(),
            cluster=self._site.cluster,
            signers=self._signer.keys.publics,
            neighbours=self.census.named_to(node),
            standings=self.standings(specs),
            position=place.position,
            life_us=place.life_us,
            priors=kept_priors(self._state),
        )
        memo = self._memo(node)
        snapshot, kept = compile_snapshot(
            desired, node=node, issued_us=self._clock.wall(), memo=memo
        )
        if kept is not memo:
            self._keep(node, kept)
        self.limits = snapshot.limits
        self.residencies = {each.project: each.residency for each in snapshot.traffic}
        return snapshot

    @property
    def epoch(self) -> int:
        """Of the state; a restored one has another."""
        return self._site.epoch

    def ends(self, node: NodeId) -> Micros:
        """When the last snapshot of a node ends, or ended; 0 where it has no end."""
        return self._memo(node).not_after_us or Micros(0)

    def issue(self, node: NodeId) -> Issued:
        """The same, cut into parts and signed, ready to travel."""
        return issue(self.compile(node), seed=self._signer.keys.present, pack=self._pack)

    def _grants(self, place: Place) -> Sequence[KeyGrant]:
        """Every key under the pepper of a site: to open them all costs more than all the rest."""
        keys = self._keys.list()
        known = self._known.get(place.position.site)
        if known is None or known[0] != keys:
            known = keys, self._keys.grants(place.pepper)
            self._known[place.position.site] = known
        return known[1]

    def catch_up(self, node: NodeId, serves: tuple[int, int]) -> None:
        """Pass what a node already serves: control was restored from older data, or is new.

        A node takes only what is newer than what it has, so the next snapshot must be.
        """
        memo = self._memo(node)
        if serves <= (memo.epoch, memo.version):
            return
        epoch, version = serves
        if epoch > self._site.epoch:
            self._site = raise_epoch(self._state, self._site, epoch)
        self._keep(node, replace(memo, epoch=epoch, version=version, digest=""))

    def _memo(self, node: NodeId) -> Memo:
        kept = self._state.value(_PREFIX + node)
        return msgspec.json.decode(kept, type=Memo) if kept else Memo()

    def _keep(self, node: NodeId, memo: Memo) -> None:
        self._state.put_value(_PREFIX + node, msgspec.json.encode(memo))


def _unaudited(specs: Specs) -> Sequence[Standing]:
    """Nothing: nobody has told what audits say."""
    del specs
    return ()

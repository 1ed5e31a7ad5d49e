"""Key row: a key's grant as the warm path reads it."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from littoral.cost.length import kind_of
from littoral.domain import flight
from littoral.domain.audit import Standing
from littoral.domain.guard import UNGUARDED
from littoral.domain.policy import Policy
from littoral.domain.project import KeyGrant
from littoral.domain.traffic import PRIORITIES, TrafficGrant
from littoral.gateway.guard import mask_of
from littoral.gateway.quota import Gate
from littoral.gateway.wanted import Wanted, wanted_of
from littoral.placement.filters import residence_mask
from littoral.placement.policy import Asker, is_whose, tagged


class Sort(NamedTuple):
    """Of what kind a key's requests for one model are: their tag, and what follows from it.

    ``names`` are project and key with the tag as the flight table has them; ``length`` is under
    what the lengths of their answers are learned.
    """

    tag: str
    names: bytes
    length: str


class Sorts(dict[str, Sort]):
    """Of what kind a key's requests are, by model; worked out when a model is first asked for.

    Args:
        grant: The key's.
        policies: All.
    """

    __slots__ = ("_grant", "_policies")

    def __init__(self, grant: KeyGrant, policies: Sequence[Policy]) -> None:
        super().__init__()
        self._grant = grant
        self._policies = policies

    def __missing__(self, model: str) -> Sort:
        """Work it out, and keep it."""
        project, key, _, tag = tagged(self._policies, _asker(self._grant, model))
        names = f"\n{project}\n{flight.tagged(key, tag)}".encode()
        found = self[model] = Sort(tag, names, kind_of(tag=tag, key=key, model=model))
        return found


class KeyRow:
    """A key's grant as the warm path reads it; ``gates`` are its own limits and its project's."""

    __slots__ = (
        "adapts",
        "any_model",
        "audits",
        "brownout",
        "cache",
        "expires_us",
        "gates",
        "grant",
        "guard",
        "hedges",
        "lapsed",
        "level",
        "may_infer",
        "models",
        "policies",
        "prefixes",
        "redacts",
        "residence",
        "sorts",
        "standings",
        "wants",
        "weight",
    )

    def __init__(self, grant: KeyGrant, gates: tuple[Gate, ...]) -> None:
        self.grant = grant
        self.share(TrafficGrant(project=grant.project))
        self.gates = gates
        self.expires_us: float = math.inf if grant.expires_us is None else grant.expires_us
        self.lapsed = False
        """Whether it ended because control was away for too long."""
        self.may_infer = "infer" in grant.scopes or "admin" in grant.scopes
        self.any_model = "*" in grant.models
        self.models = frozenset(grant.models)
        self.prefixes = tuple(name[:-1] for name in grant.models if name.endswith("*"))
        self.policies: tuple[Policy, ...] = ()
        self.standings: Mapping[str, Standing] = {}
        self.audits = False
        """Whether some of its requests may be audited."""
        self.wants: dict[str, Wanted | None] = {}
        self.sorts = Sorts(grant, ())

    def share(self, traffic: TrafficGrant) -> None:
        """Take the settings of the project."""
        self.weight = traffic.weight
        self.level = PRIORITIES.index(traffic.priority)
        self.cache, self.brownout, self.hedges = traffic.cache, traffic.brownout, traffic.hedge
        self.adapts = self.hedges or self.cache is not None or self.brownout is not None
        self.residence = 0 if traffic.residency == "any" else residence_mask((traffic.residency,))
        """What it needs of the way to a place, as a bit; 0 where nothing."""
        guard = traffic.guard
        self.guard = None if guard == UNGUARDED else guard
        self.redacts = mask_of(guard.redact)
        """Kinds of personal data that may not leave, as bits."""

    def heed(self, policies: Sequence[Policy], standings: Mapping[str, Standing]) -> None:
        """Take all policies, and what audits of them say, by name."""
        self.policies, self.standings = tuple(policies), standings
        grant = self.grant
        self.sorts = Sorts(grant, self.policies)
        self.audits = any(
            each.name in standings and is_whose(each.spec.match, grant.project, grant.id)
            for each in policies
        )
        self.adapts = self.adapts or self.audits

    def wanted(self, model: str) -> Wanted | None:
        """What a policy asks of the place of its requests for a model, if any does."""
        if model not in self.wants:
            asker = _asker(self.grant, model)
            self.wants[model] = wanted_of(self.policies, asker, self.standings)
        return self.wants[model]

    def lapse(self) -> None:
        """End: control was away for too long."""
        self.lapsed = True
        self.expires_us = -math.inf

    def may_use(self, model: str) -> bool:
        """Whether the key's list of models, whose names may end in ``*``, covers ``model``."""
        return self.any_model or model in self.models or model.startswith(self.prefixes)


def _asker(grant: KeyGrant, model: str) -> Asker:
    return Asker(grant.project, grant.id, model, grant.tag)


def is_over(keys: Mapping[str, KeyRow], key: KeyRow) -> bool:
    """Whether what a key has under way must end: it is gone, revoked, or lapsed."""
    now = keys.get(key.grant.id)
    return now is None or now.grant.revoked or now.lapsed

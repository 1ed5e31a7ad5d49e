"""Operator: mints and revokes keys, deploys and changes limits, as people do all day."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio

from littoral.control.desk import Desk
from littoral.domain.errors import LittoralError
from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.limits import Budget, Limits
from littoral.domain.ports import Chance
from littoral.domain.reach import Residency
from littoral.domain.units import Seconds
from littoral.domain.upkeep import Revoke
from littoral.domain.view import ApplyRequest, Document, DocumentMetadata, KeyRequest
from littoral.lab.cloud import Cloud
from littoral.lab.life import InjectedError, Killed
from littoral.lab.purse import Purse
from littoral.lab.scene import MODELS
from littoral.lab.trace import Trace

AT_ONCE = 4
"""Requests that others may have under way."""
KEYS = 6
VERSIONS = ("echo", "echo", "echo-2")
ROLLOUT = {"steps": [25, 100], "minutes": 10, "requests": 20, "nodes": 0.5}


@dataclass(slots=True, kw_only=True)
class Operator:
    """Makes a change now and then, where control answers.

    ``hourly`` is the budget of limited keys, in the platform's currency.

    Attributes:
        keys: Those minted and not revoked, newest last; clients use them.
    """

    cloud: Cloud
    chance: Chance
    trace: Trace
    purse: Purse
    every_s: Seconds
    hourly: float
    projects: Mapping[ProjectId, Residency]
    keys: list[KeyId] = field(default_factory=list[KeyId])
    changes: int = 0
    _minted: int = 0

    async def begin(self) -> None:
        """Make what clients need, once control is there."""
        desk = await self.cloud.present()
        for project, residency in self.projects.items():
            document = Document(
                kind="Project",
                metadata=DocumentMetadata(name=project),
                spec={"residency": residency},
            )
            desk.resources.apply(ApplyRequest(documents=(document,)))
        for name in MODELS[:2]:
            self._deploy(desk, name)
        for _ in range(3):
            self._mint(desk)
        desk.bell.ring()

    async def run(self) -> None:
        """Change something again and again."""
        while True:
            await anyio.sleep(self.every_s * 2.0 * self.chance.random())
            desk = self.cloud.desk
            if desk is None:
                continue
            try:
                await self._change(desk)
            except InjectedError:
                continue
            except Killed:
                self.cloud.kill()
            except LittoralError as error:
                self.trace.note(f"operator is refused: {error.code}")

    async def _change(self, desk: Desk) -> None:
        draw = self.chance.random()
        if draw < 0.4:
            self._mint(desk)
        elif draw < 0.7 and len(self.keys) > 2:
            key = self._revoke(desk)
            await desk.links.tell_all(Revoke(number=self.changes, keys=(key,)))
        else:
            self._deploy(desk, MODELS[int(self.chance.random() * len(MODELS))])
        self.changes += 1
        desk.bell.ring()

    def _mint(self, desk: Desk) -> None:
        draw = self.chance.random()
        limits = Limits(
            requests_per_minute=30,
            concurrent=AT_ONCE if draw > 0.7 else None,
            budget=Budget(amount=self.hourly, period="hour") if draw < 0.6 else None,
        )
        project = tuple(self.projects)[self._minted % len(self.projects)]
        self._minted += 1
        request = KeyRequest(name="lab", project=project, limits=limits)
        minted = desk.keys.mint(request).key.id
        self.purse.minted(minted, limits)
        self.trace.note(f"operator mints {minted}")
        self.keys.append(minted)
        if len(self.keys) > KEYS:
            self._revoke(desk)

    def _revoke(self, desk: Desk) -> KeyId:
        key = self.keys.pop(0)
        self.trace.note(f"operator revokes {key}")
        desk.keys.revoke(key)
        return key

    def _deploy(self, desk: Desk, name: str) -> None:
        spec = {
            "engine": "fake",
            "model": VERSIONS[int(len(VERSIONS) * self.chance.random())],
            "slots": 1 + int(4 * self.chance.random()),
            "price_in": 1.0,
            "price_out": 3.0,
            "where": {},
            "rollout": ROLLOUT,
        }
        document = Document(kind="Deployment", metadata=DocumentMetadata(name=name), spec=spec)
        desk.resources.apply(ApplyRequest(documents=(document,)))
        self.trace.note(f"operator deploys {name}")

"""Resources: plan and make declared changes, one at a time, idempotently."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast, get_args

import msgspec

from littoral.control.check import Specs, Statuses, check_labels, check_spec, users_of
from littoral.control.credential import Credentials
from littoral.control.fleet import nodes_at
from littoral.control.record import convert
from littoral.domain.deployment import DeploymentSpec, UpstreamSpec
from littoral.domain.errors import Conflict, InvalidInput, UnknownName
from littoral.domain.ids import checked_name
from littoral.domain.ports import Clock, State
from littoral.domain.resource import SPECS, Action, Change, Kind, Metadata, Resource, Spec
from littoral.domain.view import ApplyRequest, Changes, Document

KINDS: Sequence[Kind] = get_args(Kind)
"""In the order in which they are written: what is named comes before what names it."""
MOST_DOCUMENTS = 500
T = TypeVar("T")
Check = Callable[[Resource, Specs], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One document's outcome: the change, and the resource to write where there is one."""

    change: Change
    resource: Resource
    expected: int | None


class Resources:
    """Declared resources. Callers serialise writes: one ``apply`` or ``delete`` at a time.

    Args:
        state: Where they live.
        credentials: Seals and hides upstream credentials.
        clock: For creation and update times.
        statuses: What is known of model versions.
        check: Asks the engine's driver about a deployment's options.
    """

    def __init__(
        self,
        state: State,
        credentials: Credentials,
        *,
        clock: Clock,
        statuses: Callable[[], Statuses],
        check: Check,
    ) -> None:
        self._state = state
        self._credentials = credentials
        self._clock = clock
        self._statuses = statuses
        self._check = check

    def list(self, kind: Kind) -> Sequence[Resource]:
        """All of a kind by name, credentials hidden."""
        return [self._credentials.hidden(resource) for resource in self._state.list(kind)]

    def get(self, kind: Kind, name: str) -> Resource:
        """One resource, credentials hidden.

        Raises:
            UnknownName: There is none; the message lists the known ones.
        """
        found = self._state.get(kind, name)
        if found is None:
            known = ", ".join(item.metadata.name for item in self._state.list(kind)) or "none"
            raise UnknownName(f"no {kind} is named {name!r}; known: {known}")
        return self._credentials.hidden(found)

    def specs(self) -> dict[tuple[Kind, str], Spec]:
        """Every declared spec by kind and name."""
        return {
            (kind, item.metadata.name): item.spec
            for kind in KINDS
            for item in self._state.list(kind)
        }

    def opened_specs(self) -> dict[tuple[Kind, str], Spec]:
        """Every declared spec, credentials as they were given: for snapshots only."""
        return {
            (kind, name): self._credentials.opened(name, spec)
            if isinstance(spec, UpstreamSpec)
            else spec
            for (kind, name), spec in self.specs().items()
        }

    def apply(self, request: ApplyRequest) -> Changes:
        """Make documents true, or say what that would do.

        Every document is checked before the first is written.

        Raises:
            InvalidInput: A document is wrong; ``param`` begins with ``documents[i]``.
            Conflict: A version is not the present one, or a change would break what uses it.
        """
        planned = self._plan(request.documents)
        if not request.dry_run:
            order = sorted(planned, key=lambda item: KINDS.index(item.change.kind))
            for item in order:
                if item.change.action != "unchanged":
                    self._state.put(item.resource, expected=item.expected)
        return Changes(changes=tuple(item.change for item in planned))

    def delete(self, kind: Kind, name: str) -> Change:
        """Delete a resource.

        Raises:
            UnknownName: There is none.
            Conflict: Something uses it; the message names the users.
        """
        self.get(kind, name)
        users = [f"Deployment {user!r}" for user in users_of(kind, name, self.specs())]
        if kind == "Project":
            keys = self._state.keys()
            users = [f"key {key.id}" for key in keys if key.project == name and not key.revoked_us]
        if kind == "Site":
            users = [f"node {node}" for node in nodes_at(self._state, name)]
        if users:
            raise Conflict(f"{kind} {name!r} is in use by {', '.join(users)}: delete these first")
        self._state.delete(kind, name)
        return Change(kind=kind, name=name, action="delete")

    def _plan(self, documents: Sequence[Document]) -> Sequence[Planned]:
        if len(documents) > MOST_DOCUMENTS:
            raise InvalidInput(
                f"{len(documents)} documents at once; at most {MOST_DOCUMENTS}", param="documents"
            )
        specs = self.specs()
        planned: list[Planned] = []
        seen: set[tuple[Kind, str]] = set()
        for index, document in enumerate(documents):
            item = _within(index, lambda document=document: self._planned(document))
            key = (item.change.kind, item.change.name)
            if key in seen:
                raise InvalidInput(
                    f"documents[{index}]: {key[0]} {key[1]!r} is there twice",
                    param=f"documents[{index}]",
                )
            seen.add(key)
            specs[key] = item.resource.spec
            planned.append(item)
        statuses = self._statuses()
        for index, item in enumerate(planned):
            _within(index, lambda item=item: self._check_planned(item, specs, statuses))
        self._check_users(seen, specs, statuses)
        return planned

    def _planned(self, document: Document) -> Planned:
        name = checked_name(document.metadata.name, what=document.kind.lower())
        spec = convert(document.spec, SPECS[document.kind], at="spec")
        found = self._state.get(document.kind, name)
        if isinstance(spec, UpstreamSpec):
            spec = self._credentials.kept(name, spec, found, given="credential" in document.spec)
        now = self._clock.wall()
        resource = Resource(
            kind=document.kind,
            metadata=Metadata(name=name, labels=dict(document.metadata.labels)),
            spec=spec,
            version=found.version if found else 0,
            created_us=found.created_us if found else now,
            updated_us=now,
        )
        fields = self._differences(found, resource) if found else ()
        action: Action = "create" if found is None else "update" if fields else "unchanged"
        asked = document.metadata.version
        expected = document.version if asked is None else asked
        present = resource.version
        if expected is not None and expected != present:
            raise Conflict(
                f"{document.kind} {name!r} is at version {present}, not {expected}: "
                "read it again and repeat your change"
            )
        return Planned(
            change=Change(kind=document.kind, name=name, action=action, fields=fields),
            resource=resource,
            expected=present,
        )

    def _check_planned(self, item: Planned, specs: Specs, statuses: Statuses) -> None:
        check_labels(item.resource)
        spec = item.resource.spec
        if isinstance(spec, UpstreamSpec):
            spec = self._credentials.opened(item.change.name, spec)
        check_spec(spec, specs, statuses)
        if isinstance(spec, DeploymentSpec):
            self._check(item.resource, specs)

    def _check_users(
        self, changed: set[tuple[Kind, str]], specs: Specs, statuses: Statuses
    ) -> None:
        """A changed model must still suit the deployments that are not part of this request."""
        for kind, name in sorted(changed):
            for user in users_of(kind, name, specs):
                if ("Deployment", user) in changed:
                    continue
                try:
                    check_spec(specs["Deployment", user], specs, statuses)
                except InvalidInput as error:
                    raise Conflict(
                        f"{kind} {name!r} is in use by Deployment {user!r}, which would no longer "
                        f"be valid: {error.message}"
                    ) from error

    def _differences(self, old: Resource, new: Resource) -> tuple[str, ...]:
        before, after = (self._flat(resource) for resource in (old, new))
        return tuple(
            path
            for path in sorted(before.keys() | after.keys())
            if before.get(path) != after.get(path)
        )

    def _flat(self, resource: Resource) -> Mapping[str, object]:
        if isinstance(resource.spec, UpstreamSpec):
            opened = self._credentials.opened(resource.metadata.name, resource.spec)
            resource = replace(resource, spec=opened)
        plain = {
            "spec": cast("object", msgspec.to_builtins(resource.spec)),
            "metadata.labels": dict(resource.metadata.labels),
        }
        return dict(_leaves("", plain))


def _leaves(path: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, item in cast("Mapping[str, object]", value).items():
            yield from _leaves(f"{path}.{name}" if path else name, item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(cast("Sequence[object]", value)):
            yield from _leaves(f"{path}[{index}]", item)
    elif value is not None:
        yield path, value


def _within(index: int, step: Callable[[], T]) -> T:
    """Run a step for one document; its errors name the document."""
    try:
        return step()
    except InvalidInput as error:
        at = f"documents[{index}]"
        inside = error.param is not None and error.message.startswith(error.param)
        raise type(error)(
            f"{at}.{error.message}" if inside else f"{at}: {error.message}",
            param=f"{at}.{error.param}" if error.param else at,
        ) from error

"""State in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from littoral.domain.errors import Conflict
from littoral.domain.ids import KeyId
from littoral.domain.project import Key
from littoral.domain.resource import Kind, Resource


class MemoryState:
    """Twin of ``State``."""

    def __init__(self) -> None:
        self._resources: dict[tuple[Kind, str], Resource] = {}
        self._keys: dict[KeyId, tuple[Key, bytes | None]] = {}
        self._values: dict[str, bytes] = {}
        self._revision = 0

    def get(self, kind: Kind, name: str) -> Resource | None:
        """One resource."""
        return self._resources.get((kind, name))

    def list(self, kind: Kind) -> Sequence[Resource]:
        """All of a kind, by name."""
        found = [value for key, value in self._resources.items() if key[0] == kind]
        return sorted(found, key=lambda resource: resource.metadata.name)

    def put(self, resource: Resource, *, expected: int | None = None) -> Resource:
        """Create or replace; ``created_us`` stays what it was when it was created."""
        key = (resource.kind, resource.metadata.name)
        present = self._resources.get(key)
        version = present.version if present else 0
        if expected is not None and expected != version:
            raise Conflict(f"{key!r} has version {version}, not {expected}")
        created = present.created_us if present else resource.created_us
        written = replace(resource, version=version + 1, created_us=created)
        self._resources[key] = written
        self._revision += 1
        return written

    def delete(self, kind: Kind, name: str) -> bool:
        """Delete one resource; False where there was none."""
        gone = self._resources.pop((kind, name), None) is not None
        self._revision += gone
        return gone

    def revision(self) -> int:
        """A number that rises with every write here."""
        return self._revision

    def keys(self) -> Sequence[Key]:
        """All keys, oldest first."""
        keys = [key for key, _ in self._keys.values()]
        return sorted(keys, key=lambda key: (key.created_us, key.id))

    def put_key(self, key: Key, secret: bytes | None = None) -> None:
        """Write a key; ``secret`` is kept when None."""
        self._keys[key.id] = (key, self.secret(key.id) if secret is None else secret)
        self._revision += 1

    def secret(self, key: KeyId) -> bytes | None:
        """The sealed secret that was stored with a key."""
        return self._keys[key][1] if key in self._keys else None

    def value(self, name: str) -> bytes | None:
        """A named fact."""
        return self._values.get(name)

    def put_value(self, name: str, value: bytes | None) -> None:
        """Write or (None) remove a named fact."""
        if value is not None:
            self._values[name] = value
            self._revision += 1
        elif self._values.pop(name, None) is not None:
            self._revision += 1

    def put_values(self, values: Mapping[str, bytes | None]) -> None:
        """Write or (None) remove several named facts."""
        for name, value in values.items():
            self.put_value(name, value)

    def values(self, prefix: str) -> Mapping[str, bytes]:
        """All named facts whose name begins with ``prefix``."""
        return {
            name: self._values[name] for name in sorted(self._values) if name.startswith(prefix)
        }

"""Upstream credentials: write-only. Sealed at rest, hidden in answers, opened for nodes."""

import base64
from dataclasses import replace

from littoral.control.vault import Vault
from littoral.domain.deployment import UpstreamSpec
from littoral.domain.errors import InvalidInput
from littoral.domain.resource import Resource
from littoral.domain.view import HIDDEN


class Credentials:
    """Seal, keep, hide and open the credential of an upstream.

    Args:
        vault: Seals them, each bound to its upstream's name.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def kept(
        self, name: str, spec: UpstreamSpec, found: Resource | None, *, given: bool
    ) -> UpstreamSpec:
        """Return the spec to store, its credential sealed.

        One that is not given, or given as the mark of a hidden one, stays as it is; null removes
        it. A kept credential never follows its upstream to another place.

        Raises:
            InvalidInput: The URL changes and the credential would be kept.
        """
        old = found.spec if found and isinstance(found.spec, UpstreamSpec) else None
        if given and spec.credential != HIDDEN:
            return self._sealed(name, spec, old)
        if old is None or old.credential is None:
            if given:
                raise InvalidInput(
                    f"spec.credential: {HIDDEN!r} keeps a credential, and there is none yet",
                    param="spec.credential",
                )
            return spec
        if old.url != spec.url:
            raise InvalidInput(
                "spec.credential: give it again, or null, when the URL changes: "
                "a credential does not follow to another place",
                param="spec.credential",
            )
        return replace(spec, credential=old.credential)

    def hidden(self, resource: Resource) -> Resource:
        """Return the resource with its credential hidden."""
        spec = resource.spec
        if not isinstance(spec, UpstreamSpec) or spec.credential is None:
            return resource
        return replace(resource, spec=replace(spec, credential=HIDDEN))

    def opened(self, name: str, spec: UpstreamSpec) -> UpstreamSpec:
        """Return the spec with its credential as it was given.

        Raises:
            Damaged: What is stored does not open.
        """
        if spec.credential is None:
            return spec
        sealed = base64.b64decode(spec.credential)
        plain = self._vault.open(sealed, "upstream", name, "credential")
        return replace(spec, credential=plain.decode())

    def _sealed(self, name: str, spec: UpstreamSpec, old: UpstreamSpec | None) -> UpstreamSpec:
        if spec.credential is None:
            return spec
        if old is not None and self.opened(name, old).credential == spec.credential:
            return replace(spec, credential=old.credential)
        sealed = self._vault.seal(spec.credential.encode(), "upstream", name, "credential")
        return replace(spec, credential=base64.b64encode(sealed).decode())

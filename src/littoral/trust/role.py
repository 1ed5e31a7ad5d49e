"""Rights: which scope allows which action, and the one place where that is decided."""

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from littoral.domain.errors import Denied
from littoral.domain.project import Principal, Scope

Action: TypeAlias = Literal[
    "infer",
    "resource.read",
    "resource.write",
    "key.read",
    "key.write",
    "model.write",
    "usage.read",
    "node.read",
    "node.write",
    "node.join",
    "node.revoke",
    "ca.read",
    "ca.write",
    "status.read",
    "snapshot.read",
    "event.read",
    "signer.write",
    "release.write",
]

SCOPE_OF: Mapping[Action, Scope] = {
    "infer": "infer",
    "resource.read": "read",
    "resource.write": "write",
    "key.read": "keys",
    "key.write": "keys",
    "model.write": "write",
    "usage.read": "read",
    "node.read": "read",
    "node.write": "write",
    "node.join": "admin",
    "node.revoke": "admin",
    "ca.read": "read",
    "ca.write": "admin",
    "status.read": "read",
    "snapshot.read": "read",
    "event.read": "read",
    "signer.write": "admin",
    "release.write": "admin",
}
"""The scope that each action needs; ``admin`` allows all of them."""


def allows(scopes: Iterable[Scope], action: Action) -> bool:
    """Say whether a key with these scopes may do ``action``."""
    held = set(scopes)
    return "admin" in held or SCOPE_OF[action] in held


def authorize(principal: Principal, action: Action) -> None:
    """Let an action pass, or refuse it.

    Raises:
        Denied: The principal's key lacks the scope, which the message names.

    Checked by: tests/unit/trust/test_role.py, exhaustively.
    """
    if not allows(principal.scopes, action):
        held = ", ".join(sorted(principal.scopes)) or "none"
        needed = SCOPE_OF[action]
        raise Denied(f"{action!r} needs the scope {needed!r}; key {principal.key!r} has: {held}")


def subset(scopes: Iterable[Scope], of: Iterable[Scope]) -> bool:
    """Say whether ``scopes`` lie within ``of``: a minted key may do no more than its creator's."""
    held = set(of)
    return "admin" in held or held.issuperset(scopes)

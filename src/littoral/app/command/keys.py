"""``littoral keys``: make, list, tag and revoke API keys."""

from dataclasses import dataclass
from typing import Annotated, cast, get_args

from cyclopts import Parameter

from littoral.app.command import parsing
from littoral.app.command.bounds import UNBOUNDED, Bounds, shown_limits
from littoral.app.command.confirm import confirm
from littoral.app.command.encoding import plain
from littoral.app.command.figures import moment
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.app.command.site import admin
from littoral.app.system import SystemClock
from littoral.domain.errors import InvalidInput, UnknownName
from littoral.domain.ids import KeyId
from littoral.domain.project import Key, Scope
from littoral.domain.units import Micros
from littoral.domain.view import KeyRequest


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What a key may do.

    Args:
        models: Names of models it may use, with commas; * is all.
        scope: What it may do, with commas: infer, read, write, keys, admin.
        survives: Goes on calling a node's own engines when control was away from it for too long.
        tag: Of what kind its requests are: a short label that policies and predictions go by.
    """

    models: Annotated[str, Parameter(name="--models")] = "*"
    scope: Annotated[str, Parameter(name="--scope")] = "infer"
    survives: Annotated[bool, Parameter(name="--survives")] = False
    tag: Annotated[str, Parameter(name="--tag")] = ""


USUAL = Rights()


def create(
    name: str,
    /,
    *,
    rights: Rights = USUAL,
    bounds: Bounds = UNBOUNDED,
    expires: str | None = None,
    reach: Reach = HERE,
) -> None:
    """Make a key. Standard output holds the key alone, so that it can be captured.

    Args:
        name: Whose it is or what for.
        rights: What it may do.
        bounds: What it may use.
        expires: After how many days it ends, such as 30d.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    wanted = KeyRequest(
        name=name,
        scopes=_scopes(rights.scope),
        models=parsing.words(rights.models),
        limits=bounds.limits(),
        expires_in_days=None if expires is None else parsing.whole_days(expires, what="--expires"),
        survives=rights.survives,
        tag=rights.tag,
    )
    with admin(reach) as control:
        minted = control.create_key(wanted)
    shown.note("keys.made", name=minted.key.name, id=minted.key.id)
    shown.line(minted.secret)
    shown.json(plain(minted))


def _scopes(text: str) -> tuple[Scope, ...]:
    known = cast("tuple[Scope, ...]", get_args(Scope))
    given = parsing.words(text)
    unknown = [word for word in given if word not in known]
    if unknown or not given:
        raise InvalidInput(f"--scope: no scope {''.join(unknown[:1])!r}; known: {', '.join(known)}")
    return tuple(scope for scope in known if scope in given)


def list_keys(*, reach: Reach = HERE) -> None:
    """List keys.

    Args:
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        keys = control.keys()
    shown.json({"keys": plain(keys)})
    if not keys:
        shown.note("keys.none")
        return
    now = SystemClock().wall()
    rows = [
        (
            key.id,
            key.name,
            key.project,
            ",".join(key.scopes),
            ",".join(key.models),
            key.tag or "-",
            shown_limits(key.limits),
            "-" if key.expires_us is None else moment(key.expires_us),
            state(key, now=now),
        )
        for key in keys
    ]
    head = ("ID", "NAME", "PROJECT", "SCOPES", "MODELS", "TAG", "LIMITS", "EXPIRES", "STATE")
    shown.rows(head, rows)


def state(key: Key, *, now: Micros) -> str:
    """Whether a key is good."""
    if key.revoked_us is not None:
        return "revoked"
    if key.expires_us is not None and key.expires_us <= now:
        return "expired"
    return "good"


def tag(key: str, tag: str = "", /, *, reach: Reach = HERE) -> None:
    """Say of what kind a key's requests are from now on: policies and predictions go by that.

    Args:
        key: Its id, or its name where only one good key has that name.
        tag: A short label; none takes it away.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        changed = control.tag_key(KeyId(_found(control.keys(), key).id), tag)
    word = "keys.tagged" if tag else "keys.untagged"
    shown.note(word, name=changed.name, id=changed.id, tag=changed.tag)
    shown.json(plain(changed))


def revoke(key: str, /, *, yes: bool = False, reach: Reach = HERE) -> int:
    """Revoke a key.

    Args:
        key: Its id, or its name where only one good key has that name.
        yes: Do not ask.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        found = _found(control.keys(), key)
        if not confirm(shown, shown.say("confirm.key", name=f"{found.name} ({found.id})"), yes=yes):
            return 1
        control.revoke_key(KeyId(found.id))
    shown.note("keys.revoked", name=found.name, id=found.id)
    shown.json({"revoked": found.id})
    return 0


def _found(keys: list[Key], wanted: str) -> Key:
    by_id = [key for key in keys if key.id == wanted]
    named = [key for key in keys if key.name == wanted and key.revoked_us is None]
    if by_id:
        return by_id[0]
    if len(named) == 1:
        return named[0]
    if named:
        ids = ", ".join(key.id for key in named)
        raise InvalidInput(f"{len(named)} keys are named {wanted!r}; name it by id: {ids}")
    raise UnknownName(f"no key {wanted!r}; see: littoral keys list")

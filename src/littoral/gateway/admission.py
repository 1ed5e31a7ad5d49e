"""Admission: who asks, whether they may, and whether they may now.

The order of errors is part of the API: 413 and 431, then 401, 400, 404, 403, 429, 503.
"""

from hashlib import sha256

from littoral.domain.errors import Denied, PolicyExpired, Unauthenticated, UnknownModel
from littoral.gateway.head import Known, credential
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.table import KeyRow, ModelRow, Tables
from littoral.trust import key

_NO_KEY = refuse(
    Unauthenticated,
    "no API key: send 'Authorization: Bearer lit-sk-...' or 'x-api-key: lit-sk-...'",
)
_TYPO = refuse(
    Unauthenticated, "this is not an API key as issued here: its form or checksum is wrong"
)
_WRONG = refuse(Unauthenticated, "this API key is unknown or revoked")
_EXPIRED = refuse(Unauthenticated, "this API key has expired")
_LAPSED = refuse(
    PolicyExpired,
    "this node has not reached its control plane for so long that this API key does not hold any "
    "more; it holds again once the node has",
)
_SCOPE = refuse(Denied, "this API key lacks the scope 'infer'")


def identify(tables: Tables, presented: bytes) -> KeyRow | Refusal:
    """Find the row of a presented key, by its MAC, in constant time."""
    if not presented:
        return _NO_KEY
    grant = key.verify(presented, tables.grants, pepper=tables.pepper)
    if grant is None:
        return _TYPO if key.typo(presented) else _WRONG
    return _WRONG if grant.revoked else tables.keys[grant.id]


def present(tables: Tables, row: KeyRow, *, now_us: int) -> KeyRow | Refusal:
    """The row that a key has now, for what outlives the request that it came with."""
    found = tables.keys.get(row.grant.id)
    if found is None or found.grant.revoked:
        return _WRONG
    return over(found) if now_us >= found.expires_us else found


def over(row: KeyRow) -> Refusal:
    """Why a key whose time is over is refused."""
    return _LAPSED if row.lapsed else _EXPIRED


class KeyMemo:
    """One connection's key: a digest of the header it came in, and the row it stands for.

    It ends with the tables of ``number``.
    """

    __slots__ = ("_digest", "_row", "number")

    def __init__(self) -> None:
        self._digest: bytes = b""
        self._row: KeyRow | None = None
        self.number = -1

    def row_of(self, tables: Tables, known: Known, *, now_us: int) -> KeyRow | Refusal:
        """Find the row of the key in a request's headers, unless its time is over."""
        row = self._row
        value = known.get(b"authorization", b"")
        digest = sha256(value).digest()
        known_key = self.number == tables.number and digest == self._digest
        if row is None or not known_key or b"x-api-key" in known:
            presented = credential(known)
            found = presented if isinstance(presented, Refusal) else identify(tables, presented)
            if isinstance(found, Refusal):
                return found
            row = found
            self._row, self.number = row, tables.number
            self._digest = digest if value else b""
        return over(row) if now_us >= row.expires_us else row


def find(tables: Tables, row: KeyRow, name: str) -> ModelRow | Refusal:
    """Find a model that the key may use; a refusal lists those it may."""
    model = tables.models.get(name)
    if model is None:
        known = ", ".join(usable(tables, row)[:50]) or "none yet"
        return refuse(
            UnknownModel, f"no model named {name!r}; this key may use: {known}", param="model"
        )
    if not row.may_infer:
        return _SCOPE
    if not row.may_use(name):
        known = ", ".join(usable(tables, row)[:50]) or "none"
        return refuse(
            Denied, f"this API key may not use {name!r}; it may use: {known}", param="model"
        )
    return model


def check_scope(row: KeyRow) -> Refusal | None:
    """Refuse a key that may not call models, and so not see what they answered either."""
    return None if row.may_infer else _SCOPE


def usable(tables: Tables, row: KeyRow) -> list[str]:
    """Names of the models a key may use, sorted."""
    return [name for name in tables.models if row.may_infer and row.may_use(name)]

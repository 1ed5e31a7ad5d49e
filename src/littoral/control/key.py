"""Keys: mint, list, revoke, and who a presented key is."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from littoral.control.bounds import check_limits
from littoral.control.vault import Vault
from littoral.domain.errors import Conflict, Denied, InvalidInput, Unauthenticated, UnknownName
from littoral.domain.ids import ProjectId, checked_name, checked_tag
from littoral.domain.limits import NO_LIMITS, Limits
from littoral.domain.ports import Clock, Entropy, State
from littoral.domain.project import Key, KeyGrant, Principal
from littoral.domain.units import DAY_US, Micros
from littoral.domain.view import KeyRequest, MintedKey
from littoral.trust import key as trust_key
from littoral.trust import role

MOST_DAYS = 36_500
_OWN_PEPPER_BYTES = 32


class Keys:
    """API keys as control keeps them: records, and the sealed digest of each secret.

    Args:
        state: Where they live.
        vault: Seals the digests.
        clock: For creation, expiry and revocation.
        entropy: Where secrets come from.
    """

    def __init__(self, state: State, vault: Vault, *, clock: Clock, entropy: Entropy) -> None:
        self._state = state
        self._vault = vault
        self._clock = clock
        self._entropy = entropy
        self._pepper = entropy.bytes(_OWN_PEPPER_BYTES)

    def mint(self, request: KeyRequest, *, by: Principal | None = None) -> MintedKey:
        """Make a key.

        Args:
            request: What it shall be.
            by: Who asks; None only for the first start.

        Raises:
            InvalidInput: A value is outside its range, or there is no such project.
            Denied: It would be allowed more than its creator.
        """
        if by is not None:
            self._check_reach(request, by, act="make")
        self._check(request)
        now = self._clock.wall()
        days = request.expires_in_days
        minted = trust_key.mint(self._entropy.bytes(trust_key.NOISE_BYTES))
        key = Key(
            id=minted.id,
            project=ProjectId(request.project),
            name=request.name,
            scopes=request.scopes,
            models=request.models,
            limits=request.limits,
            created_us=now,
            expires_us=None if days is None else Micros(now + int(days * DAY_US)),
            survives=request.survives,
            tag=request.tag,
        )
        self._state.put_key(key, self._vault.seal(minted.digest, "key", key.id))
        return MintedKey(key=key, secret=minted.text)

    def list(self) -> Sequence[Key]:
        """All keys, oldest first."""
        return self._state.keys()

    def revoke(self, key_id: str, *, by: Principal | None = None) -> Key:
        """Revoke a key; a second time changes nothing.

        Args:
            key_id: Which.
            by: Who asks; None only for the first start.

        Raises:
            UnknownName: There is no such key.
            Denied: It may do more than its revoker.
            Conflict: It is the last one that may administer.
        """
        key = self._reached(key_id, by, act="revoke")
        if key.revoked_us is not None:
            return key
        if by is not None and self._administers(key) and not self.administered(without=key_id):
            raise Conflict(
                f"{key_id!r} is the last key with the scope admin: make another one first, "
                "nobody could make keys without it"
            )
        revoked = replace(key, revoked_us=self._clock.wall())
        self._state.put_key(revoked)
        return revoked

    def tag(self, key_id: str, tag: str, *, by: Principal) -> Key:
        """Say of what kind a key's requests are from now on.

        Args:
            key_id: Which.
            tag: The label; empty takes it away.
            by: Who asks.

        Raises:
            UnknownName: There is no such key.
            Denied: It may do more than who asks.
            InvalidInput: It cannot be a tag.
        """
        key = replace(self._reached(key_id, by, act="tag"), tag=checked_tag(tag, at="tag"))
        self._state.put_key(key)
        return key

    def _reached(self, key_id: str, by: Principal | None, *, act: str) -> Key:
        """The key of an id, where the one who asks may do all that it may."""
        found = next((key for key in self.list() if key.id == key_id), None)
        if found is None:
            raise UnknownName(f"no key has the id {key_id!r}")
        if by is not None:
            self._check_reach(found, by, act=act)
        return found

    def administered(self, *, without: str = "") -> bool:
        """Say whether a good key, other than ``without``, has the scope admin."""
        return any(key.id != without and self._administers(key) for key in self.list())

    def _administers(self, key: Key) -> bool:
        expired = key.expires_us is not None and key.expires_us <= self._clock.wall()
        return "admin" in key.scopes and key.revoked_us is None and not expired

    def grants(self, pepper: bytes) -> Sequence[KeyGrant]:
        """All keys as a site with this pepper needs them, by id; revoked ones marked."""
        found = [self._grant(key, pepper) for key in self.list()]
        return sorted((grant for grant in found if grant), key=lambda grant: grant.id)

    def limits(self) -> Mapping[str, Limits]:
        """The limits of all good keys that have any, by key."""
        return {
            key.id: key.limits
            for key in self.list()
            if key.revoked_us is None and key.limits != NO_LIMITS
        }

    def authenticate(self, presented: str) -> Principal:
        """Say who presents a key.

        Raises:
            Unauthenticated: It is malformed, unknown, revoked or expired.
        """
        text = presented.encode("utf-8", "replace")
        grant = trust_key.verify(text, self._named_in(text), pepper=self._pepper)
        if grant is None:
            raise Unauthenticated("this key is not known here; check it for a typing error")
        match trust_key.standing(grant, now_us=self._clock.wall()):
            case "good":
                return Principal(key=grant.id, project=grant.project, scopes=grant.scopes)
            case "revoked":
                raise Unauthenticated(f"the key {grant.id} was revoked")
            case "expired":
                raise Unauthenticated(f"the key {grant.id} has expired")

    def _named_in(self, text: bytes) -> Mapping[str, KeyGrant]:
        """The one key whose id stands in ``text``: no other secret is opened for it."""
        parts = trust_key.KEY.fullmatch(text)
        wanted = parts[1].decode() if parts else ""
        found = [self._grant(key, self._pepper) for key in self.list() if key.id == wanted]
        return {grant.id: grant for grant in found if grant}

    def _grant(self, key: Key, pepper: bytes) -> KeyGrant | None:
        sealed = self._state.secret(key.id)
        if sealed is None:
            return None
        digest = self._vault.open(sealed, "key", key.id)
        return KeyGrant(
            id=key.id,
            mac=trust_key.mac_of(digest, pepper=pepper),
            project=key.project,
            scopes=key.scopes,
            models=key.models,
            expires_us=key.expires_us,
            revoked=key.revoked_us is not None,
            survives=key.survives,
            tag=key.tag,
        )

    def _check_reach(self, wanted: KeyRequest | Key, by: Principal, *, act: str) -> None:
        """Refuse what is done to a key that could do what the caller's cannot."""
        if not role.subset(wanted.scopes, by.scopes):
            raise Denied(
                f"a key with the scopes {', '.join(by.scopes)} cannot {act} one with "
                f"{', '.join(wanted.scopes)}",
                param="scopes",
            )
        if "admin" in by.scopes:
            return
        own = next(key for key in self.list() if key.id == by.key)
        if wanted.project != own.project:
            raise Denied(
                f"this key can {act} keys of its project {own.project!r} only", param="project"
            )
        if "*" not in own.models and not set(own.models).issuperset(wanted.models):
            raise Denied(
                f"this key can {act} keys for {', '.join(own.models)} only", param="models"
            )

    def _check(self, request: KeyRequest) -> None:
        checked_name(request.name, what="key")
        if self._state.get("Project", request.project) is None:
            known = ", ".join(project.metadata.name for project in self._state.list("Project"))
            raise InvalidInput(
                f"no project is named {request.project!r}; known: {known}", param="project"
            )
        if not request.scopes:
            raise InvalidInput("a key needs at least one scope", param="scopes")
        if not request.models or not all(request.models):
            raise InvalidInput("models: name at least one, or '*' for all", param="models")
        check_limits(request.limits, at="limits")
        checked_tag(request.tag, at="tag")
        days = request.expires_in_days
        if days is not None and not 0 < days <= MOST_DAYS:
            raise InvalidInput(
                f"expires_in_days: {days} is not above 0 and at most {MOST_DAYS}",
                param="expires_in_days",
            )

"""Snapshots as they travel: cut into parts, named by content, signed; and when one is refused."""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from littoral.domain.errors import Damaged
from littoral.domain.ids import NodeId
from littoral.domain.life import EXTEND_US
from littoral.domain.prior import PriorsPart
from littoral.domain.project import KeyGrant
from littoral.domain.session import Frame
from littoral.domain.snapshot import (
    FEATURES,
    FORMAT,
    Anchors,
    DeploymentsPart,
    KeysPart,
    LimitsPart,
    Manifest,
    Part,
    PartRef,
    PoliciesPart,
    Snapshot,
    TrustPart,
)
from littoral.domain.units import Micros, Seconds
from littoral.trust import signature

KIND: Final = "littoral-snapshot"
LARGEST: Final = 16 * 1024 * 1024
"""Most bytes of a part, compressed or not."""
LEVEL: Final = 6
ALIKE: Final = 32
"""Parts that are kept compressed, as the next node's snapshot is likely to have them too: those
of one site, some more than once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A snapshot ready to travel: its signed manifest, and compressed parts by digest.

    ``extend_us`` is when its life is to be extended by a new manifest; None where it has no end.
    """

    number: tuple[int, int]
    token: bytes
    parts: Mapping[str, bytes]
    extend_us: Micros | None = None

    def lasts(self, now_us: Micros) -> Seconds:
        """How long it may stay the one on offer, at most an hour."""
        left_us = EXTEND_US if self.extend_us is None else self.extend_us - now_us
        return Seconds(max(0, min(left_us, EXTEND_US)) / 1e6)


def issue(snapshot: Snapshot, *, seed: bytes, pack: Callable[[Frame], bytes]) -> Issued:
    """Cut a snapshot into parts and sign their manifest.

    Args:
        snapshot: What to send.
        seed: Makes the key that signs; it must be among the snapshot's ``signers``.
        pack: Encodes a part.

    Checked by: tests/unit/trust/test_manifest.py.
    """
    pressed = {name: _pressed(pack(part)) for name, part in cut(snapshot).items()}
    present = signature.key_id(signature.public_of(seed))
    manifest = Manifest(
        format=FORMAT,
        cluster=snapshot.cluster,
        site=snapshot.site,
        node=snapshot.node,
        epoch=snapshot.epoch,
        version=snapshot.version,
        issued_us=snapshot.issued_us,
        not_after_us=snapshot.not_after_us,
        requires=(),
        signers=(present, *sorted(set(snapshot.signers) - {present})),
        parts={name: ref for name, (ref, _) in pressed.items()},
    )
    return Issued(
        number=manifest.number,
        token=signature.sign(pack(manifest), seed=seed, kind=KIND),
        parts={ref.sha256: data for ref, data in pressed.values()},
        extend_us=Micros(snapshot.issued_us + EXTEND_US) if snapshot.not_after_us else None,
    )


def read(
    token: bytes, signers: Mapping[str, bytes], *, unpack: Callable[[bytes], Frame]
) -> Manifest:
    """Return the manifest that one of these keys signed.

    Raises:
        Damaged: Forged, changed, or signed by somebody else.

    Checked by: tests/unit/trust/test_manifest.py.
    """
    manifest = unpack(signature.verify(token, signers, kind=KIND))
    if not isinstance(manifest, Manifest):
        raise Damaged(f"a signed {type(manifest).__name__} is no manifest")
    return manifest


def refusal(manifest: Manifest, *, node: NodeId, anchors: Anchors, current: tuple[int, int]) -> str:
    """Why this node must not serve from it; empty where it may. The signature is checked before.

    Checked by: tests/unit/trust/test_manifest.py.
    """
    if manifest.format != FORMAT:
        return f"its format is {manifest.format}, this build reads {FORMAT}"
    if (manifest.cluster, manifest.node) != (anchors.cluster, node):
        theirs = f"{manifest.node} of cluster {manifest.cluster}"
        return f"it is for {theirs}; this is {node} of cluster {anchors.cluster}"
    if manifest.site != anchors.site:
        return f"it is for the site {manifest.site!r}; this node is at {anchors.site!r}"
    lacking = sorted(set(manifest.requires) - FEATURES)
    if lacking:
        return f"it requires {', '.join(lacking)}, which this build does not have"
    if manifest.number < current:
        return f"{manifest.number} is older than {current}"
    return ""


def check_part(ref: PartRef, data: bytes) -> bool:
    """Say whether these compressed bytes are that part."""
    return len(data) == ref.size and _sha256(data) == ref.sha256


def cut(snapshot: Snapshot) -> Mapping[str, Part]:
    """A snapshot's parts by name; keys are spread over sixteen, those with no key left out."""
    shares: dict[str, list[KeyGrant]] = {}
    for grant in snapshot.keys:
        shares.setdefault(f"keys/0{_sha256(grant.id.encode())[0]}", []).append(grant)
    return {
        **{name: KeysPart(keys=tuple(shares[name])) for name in sorted(shares)},
        "deployments": DeploymentsPart(assignments=snapshot.assignments, exams=snapshot.exams),
        "policies": PoliciesPart(
            traffic=snapshot.traffic,
            keeping=snapshot.keeping,
            neighbours=snapshot.neighbours,
            placement=snapshot.policies,
            standings=snapshot.standings,
        ),
        "limits": LimitsPart(limits=snapshot.limits),
        "trust": TrustPart(pepper=snapshot.pepper, signers=snapshot.signers),
        **({"priors": PriorsPart(priors=snapshot.priors)} if snapshot.priors else {}),
    }


def join(
    manifest: Manifest, parts: Mapping[str, bytes], *, unpack: Callable[[bytes], Frame]
) -> Snapshot:
    """Put a snapshot together again; parts of names that this build does not know are left out.

    Args:
        manifest: Which parts.
        parts: Compressed, by digest, each checked.
        unpack: Decodes a part.

    Raises:
        Damaged: A part is missing, cannot be decoded, or is not what its name says.

    Checked by: tests/unit/trust/test_manifest.py.
    """
    found: dict[type[Part], list[Part]] = {}
    for name, ref in sorted(manifest.parts.items()):
        kind = _kind(name)
        if kind is None:
            continue
        data = parts.get(ref.sha256)
        part = None if data is None else unpack(expand(data))
        if not isinstance(part, kind):
            raise Damaged(f"the part {name!r} is missing or is not what its name says")
        found.setdefault(kind, []).append(part)
    return _joined(manifest, [part for parts_ in found.values() for part in parts_])


def _joined(manifest: Manifest, parts: Sequence[Part]) -> Snapshot:
    keys: list[KeyGrant] = []
    deployments, policies = DeploymentsPart(assignments=()), PoliciesPart(traffic=(), keeping={})
    limits, trust = LimitsPart(limits={}), TrustPart(pepper=b"", signers={})
    priors = PriorsPart(priors={})
    for part in parts:
        match part:
            case KeysPart():
                keys += part.keys
            case DeploymentsPart():
                deployments = part
            case PoliciesPart():
                policies = part
            case LimitsPart():
                limits = part
            case PriorsPart():
                priors = part
            case _:
                trust = part
    bad = _unusable(parts)
    return Snapshot(
        epoch=manifest.epoch,
        version=manifest.version,
        issued_us=manifest.issued_us,
        node=manifest.node,
        pepper=trust.pepper,
        keys=tuple(
            sorted(
                (each for each in keys if not bad & {each.project, f"key:{each.id}"}),
                key=lambda grant: grant.id,
            )
        ),
        assignments=deployments.assignments,
        exams=deployments.exams,
        traffic=policies.traffic,
        neighbours=policies.neighbours,
        limits=limits.limits,
        keeping=policies.keeping,
        cluster=manifest.cluster,
        site=manifest.site,
        not_after_us=manifest.not_after_us,
        signers=trust.signers,
        unread=_unread(parts),
        policies=policies.placement,
        standings=policies.standings,
        priors=priors.priors,
    )


def _unusable(parts: Iterable[Part]) -> frozenset[str]:
    """Projects, and keys (``key:...``), whose policy or limits could not be read.

    What cannot be bounded as it should be is not used at all.

    Raises:
        Damaged: That is the limits of a model: nothing less than all of its users would be enough.
    """
    found: set[str] = set()
    for part in parts:
        if isinstance(part, PoliciesPart):
            found.update(part.unread)
        if isinstance(part, LimitsPart):
            for name in part.unread:
                if name.startswith("model:"):
                    raise Damaged(f"limits of a kind that this build does not know: {name}")
                found.add(name.removeprefix("project:"))
    return frozenset(found)


def _unread(parts: Iterable[Part]) -> tuple[str, ...]:
    """What was left out, for people."""
    kinds = {
        KeysPart: "key",
        DeploymentsPart: "deployment",
        PoliciesPart: "policy of",
        LimitsPart: "limits of",
        PriorsPart: "prior of",
    }
    return tuple(
        f"{kinds[type(part)]} {name}"
        for part in parts
        if not isinstance(part, TrustPart)
        for name in part.unread
    )


def expand(data: bytes) -> bytes:
    """Decompress a part.

    Raises:
        Damaged: It is not compressed, cut, or would be over ``LARGEST``.
    """
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(data, LARGEST)
    except zlib.error as error:
        raise Damaged("a part of a snapshot does not decompress") from error
    if not stream.eof or stream.unused_data:
        raise Damaged(f"a part of a snapshot is cut, too long, or over {LARGEST} bytes")
    return plain


_KINDS: Final[Mapping[str, type[Part]]] = {
    "deployments": DeploymentsPart,
    "policies": PoliciesPart,
    "limits": LimitsPart,
    "trust": TrustPart,
    "priors": PriorsPart,
}


def _kind(name: str) -> type[Part] | None:
    return KeysPart if name.startswith("keys/") else _KINDS.get(name)


@lru_cache(maxsize=ALIKE)
def _pressed(plain: bytes) -> tuple[PartRef, bytes]:
    """A part compressed, and its name; most parts of a fleet's snapshots are the same."""
    data = zlib.compress(plain, LEVEL)
    return PartRef(sha256=_sha256(data), size=len(data)), data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

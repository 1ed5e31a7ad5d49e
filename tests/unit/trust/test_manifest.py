"""Snapshots as they travel: cut, signed, joined again, and refused where they must be."""

import zlib
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.app.codec import pack, unpack
from littoral.domain.deployment import Assignment
from littoral.domain.errors import Damaged
from littoral.domain.ids import DeploymentName, KeyId, NodeId, ProjectId
from littoral.domain.limits import Limits
from littoral.domain.prior import FleetPrior, PriorsPart
from littoral.domain.project import Keeping, KeyGrant
from littoral.domain.session import Frame, Goodbye
from littoral.domain.snapshot import Anchors, PartRef, Snapshot
from littoral.domain.traffic import TrafficGrant
from littoral.domain.units import DAY_US, Micros
from littoral.trust import manifest
from littoral.trust.signature import key_id, public_of, sign

SEED = bytes(32)
PUBLIC = public_of(SEED)
SIGNERS = {key_id(PUBLIC): PUBLIC, "next": b"n" * 32}
NODE = NodeId("nd_1")
ANCHORS = Anchors(cluster="cl_1", site="default", signers=SIGNERS)
unhurried = settings(max_examples=60, deadline=None)


def grant(name: str) -> KeyGrant:
    return KeyGrant(id=KeyId(name), mac=b"m" * 32, project=ProjectId("p"), scopes=("infer",))


SNAPSHOT = Snapshot(
    epoch=2,
    version=7,
    issued_us=Micros(11),
    node=NODE,
    pepper=b"pepper",
    keys=(grant("a"), grant("b")),
    assignments=(),
    traffic=(TrafficGrant(project=ProjectId("p"), weight=2.0),),
    limits={"key:a": Limits(concurrent=3)},
    keeping={ProjectId("p"): Keeping(store="never")},
    cluster="cl_1",
    not_after_us=Micros(99),
    signers=SIGNERS,
)


def issued(snapshot: Snapshot = SNAPSHOT) -> manifest.Issued:
    return manifest.issue(snapshot, seed=SEED, pack=pack)


def read(token: bytes):
    return manifest.read(token, SIGNERS, unpack=unpack)


@given(st.lists(st.text("abcdef234567", min_size=1, max_size=10), max_size=60, unique=True))
@unhurried
def test_a_snapshot_comes_out_as_it_went_in(names) -> None:
    snapshot = replace(SNAPSHOT, keys=tuple(grant(name) for name in sorted(names)))
    found = issued(snapshot)
    assert found.number == (2, 7)
    assert manifest.join(read(found.token), found.parts, unpack=unpack) == snapshot


def test_the_same_snapshot_gives_the_same_bytes() -> None:
    assert issued() == issued()


def test_the_manifest_names_the_signer_first_and_then_the_next() -> None:
    assert read(issued().token).signers == (key_id(PUBLIC), "next")


def test_a_snapshot_with_an_end_is_to_be_extended_an_hour_after_it_was_issued() -> None:
    begun = SNAPSHOT.issued_us
    ending = issued(replace(SNAPSHOT, not_after_us=Micros(begun + DAY_US)))
    assert ending.lasts(begun) == 3600.0
    assert ending.lasts(Micros(begun + 3_599_000_000)) == 1.0
    assert ending.lasts(Micros(begun + 2 * 3_600_000_000)) == 0.0
    assert ending.lasts(Micros(0)) == 3600.0
    endless = issued(replace(SNAPSHOT, not_after_us=None))
    assert endless.lasts(Micros(begun + DAY_US)) == 3600.0


def test_another_key_changes_one_part_of_sixteen() -> None:
    names = [grant(f"key{number}") for number in range(200)]
    before, after = issued(replace(SNAPSHOT, keys=tuple(names))), None
    after = issued(replace(SNAPSHOT, version=8, keys=(*names, grant("one more"))))
    assert len(before.parts) == 16 + 4
    assert len(set(after.parts) - set(before.parts)) == 1


def test_a_signed_something_else_is_no_manifest() -> None:
    token = sign(pack(Goodbye(code="x")), seed=SEED, kind=manifest.KIND)
    with pytest.raises(Damaged, match="Goodbye"):
        read(token)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "format"),
        ({"cluster": "cl_2"}, "cl_2"),
        ({"node": NodeId("nd_2")}, "nd_2"),
        ({"site": "north"}, "north"),
        ({"requires": ("teleport",)}, "teleport"),
        ({"version": 6}, "older"),
        ({"epoch": 1, "version": 99}, "older"),
    ],
)
def test_what_must_not_be_served_says_why(change, said) -> None:
    found = replace(read(issued().token), **change)
    reason = manifest.refusal(found, node=NODE, anchors=ANCHORS, current=(2, 7))
    assert said in reason


def test_what_is_ours_and_no_older_is_not_refused() -> None:
    found = read(issued().token)
    assert not manifest.refusal(found, node=NODE, anchors=ANCHORS, current=(2, 7))
    assert not manifest.refusal(found, node=NODE, anchors=ANCHORS, current=(1, 99))


def test_priors_travel_and_one_that_cannot_be_read_is_named_and_left_out() -> None:
    prior = FleetPrior(version=1, nodes=2, theta=(1.0,) * 4, q50=0.0, q90=0.2, scale=1.0, power=1.0)
    snapshot = replace(SNAPSHOT, priors={"good": prior, "other": prior})
    found = issued(snapshot)
    assert manifest.join(read(found.token), found.parts, unpack=unpack) == snapshot

    def later(frame: Frame) -> bytes:
        """Writes a prior as a later version might."""
        number, body = msgspec.msgpack.decode(pack(frame))
        if isinstance(frame, PriorsPart):
            body["priors"]["other"]["theta"] = "by another name"
        return msgspec.msgpack.encode((number, body))

    found = manifest.issue(snapshot, seed=SEED, pack=later)
    joined = manifest.join(read(found.token), found.parts, unpack=unpack)
    assert (dict(joined.priors), joined.unread) == ({"good": prior}, ("prior of other",))


def test_a_part_that_this_build_does_not_know_is_left_out() -> None:
    found = issued()
    known = read(found.token)
    later = replace(known, parts={**known.parts, "weather": PartRef(sha256="0", size=1)})
    assert manifest.join(later, found.parts, unpack=unpack) == SNAPSHOT


def test_a_manifest_without_a_part_leaves_it_empty() -> None:
    bare = manifest.join(replace(read(issued().token), parts={}), {}, unpack=unpack)
    assert (bare.pepper, bare.keys, bare.limits, bare.keeping) == (b"", (), {}, {})


def test_a_missing_part_and_one_under_another_name_are_refused() -> None:
    found = issued()
    known = read(found.token)
    swapped = {**known.parts, "limits": known.parts["policies"]}
    for changed, parts in ((known, {}), (replace(known, parts=swapped), found.parts)):
        with pytest.raises(Damaged, match="missing or is not"):
            manifest.join(changed, parts, unpack=unpack)


def test_a_part_is_known_by_size_and_digest() -> None:
    found = issued()
    ref = read(found.token).parts["trust"]
    data = found.parts[ref.sha256]
    assert manifest.check_part(ref, data)
    assert not manifest.check_part(ref, data[:-1] + b"x")
    assert not manifest.check_part(replace(ref, size=1), data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        zlib.compress(b"x" * 100)[:-1],
        zlib.compress(b"x") + b"more",
        zlib.compress(bytes(manifest.LARGEST + 1)),
    ],
)
def test_bytes_that_do_not_decompress_within_bounds_are_refused(data) -> None:
    with pytest.raises(Damaged):
        manifest.expand(data)


class Newer:
    """Packs parts as a control would that knows more values than this build."""

    def __init__(self, **changes) -> None:
        self._changes = changes

    def __call__(self, frame) -> bytes:
        number, plain = msgspec.msgpack.decode(pack(frame))
        for field, change in self._changes.items():
            if field in plain:
                change(plain[field])
        return msgspec.msgpack.encode([number, plain])


def served(snapshot: Snapshot = SNAPSHOT, **changes) -> Snapshot:
    """What this build makes of a newer control's snapshot."""
    made = manifest.issue(snapshot, seed=SEED, pack=Newer(**changes))
    return manifest.join(read(made.token), made.parts, unpack=unpack)


def put(name: str, *, at: int | str = 0, value: object = "of 2031"):
    """Give a field of one entry a value that this build does not know."""

    def change(entries) -> None:
        entries[at][name] = value

    return change


OTHER = KeyGrant(id=KeyId("o"), mac=b"m" * 32, project=ProjectId("other"), scopes=("infer",))
TWO = replace(SNAPSHOT, keys=(*SNAPSHOT.keys, OTHER))


def test_an_unknown_scope_costs_that_key_alone():
    found = served(keys=lambda keys: keys[0].update(scopes=["dream"]) if len(keys) else None)
    assert 0 < len(found.unread) <= 2
    assert {f"key {each.id}" for each in found.keys}.isdisjoint(found.unread)
    assert len(found.keys) + len(found.unread) == 2


def test_an_unknown_engine_costs_that_deployment_alone():
    both = tuple(
        Assignment(name=DeploymentName(name), revision=1, serves=name, engine="fake", model="m")
        for name in ("a", "b")
    )
    found = served(replace(SNAPSHOT, assignments=both), assignments=put("engine"))
    assert [each.name for each in found.assignments] == ["b"]
    assert found.unread == ("deployment a",)
    assert found.keys == SNAPSHOT.keys


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"traffic": put("residency")}, "policy of p"),
        ({"keeping": put("store", at="p")}, "policy of p"),
        ({"limits": put("concurrent", at="project:p")}, "limits of project:p"),
    ],
)
def test_a_project_whose_bounds_cannot_be_read_has_no_keys_here(changes, told):
    bounded = replace(TWO, limits={**TWO.limits, "project:p": Limits(concurrent=1)})
    found = served(bounded, **changes)
    assert [each.id for each in found.keys] == ["o"]
    assert found.unread == (told,)


def test_a_key_whose_limits_cannot_be_read_is_no_key_here():
    found = served(limits=put("budget", at="key:a", value={"amount": 1.0, "period": "decade"}))
    assert [each.id for each in found.keys] == ["b"]


def test_a_models_limits_that_cannot_be_read_refuse_the_whole():
    bounded = replace(SNAPSHOT, limits={"model:m": Limits(concurrent=1)})
    with pytest.raises(Damaged, match="model:m"):
        served(bounded, limits=put("concurrent", at="model:m"))


def test_an_entry_without_a_name_refuses_the_whole():
    with pytest.raises(Damaged):
        served(traffic=lambda rows: rows.append({"weight": 1.0}))


def test_what_a_newer_control_adds_is_skipped():
    def more(entries) -> None:
        entries[0]["later"] = 7

    assert served(traffic=more, keys=more) == SNAPSHOT

"""One suite for State, on the file and on its twin."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from littoral.domain.deployment import DeploymentSpec, UpstreamSpec
from littoral.domain.errors import Conflict
from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.model import ModelSpec, VersionSpec
from littoral.domain.policy import Match, PolicySpec, Quality
from littoral.domain.ports import State
from littoral.domain.project import Key, ProjectSpec
from littoral.domain.resource import Kind, Metadata, Resource, Spec
from littoral.domain.site import SiteSpec
from littoral.domain.units import Bytes, Micros, Seconds, Tokens
from littoral.stores.state import SqliteState
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.state import MemoryState

Opener = Callable[[], AbstractContextManager[State]]
SPECS: dict[Kind, Spec] = {
    "Project": ProjectSpec(title="Küste 云岸"),
    "Site": SiteSpec(title="Hafen", snapshot_hours=12),
    "Model": ModelSpec(
        versions=(VersionSpec(name="v1", source="file:/m.gguf", size=Bytes(1 << 40)),)
    ),
    "Upstream": UpstreamSpec(url="http://127.0.0.1:9/v1", credential="sealed"),
    "Deployment": DeploymentSpec(
        model="m@v1", slots=2, context=Tokens(4096), options={"a": 1, "b": "x", "c": True, "d": 0.5}
    ),
    "Policy": PolicySpec(
        match=Match(projects=("web",), models=("m*",)),
        total_s=Seconds(2.0),
        miss_cost="auto",
        deployments=("near",),
        quality=Quality(ratings={"near": 0.7}, max_loss=0.1),
    ),
}


@pytest.fixture(params=["file", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the same state again each time it is called."""
    memory = MemoryState()

    @contextmanager
    def reopen() -> Iterator[State]:
        if request.param == "memory":
            yield memory
            return
        path = str(tmp_path / "control.db")
        with SqliteState.open(path, failpoints=ArmedFailpoints()) as state:
            yield state

    return reopen


@pytest.fixture
def state(opened: Opener) -> Iterator[State]:
    with opened() as state:
        yield state


def resource(kind: Kind = "Project", name: str = "default", **changes: object) -> Resource:
    made = Resource(
        kind=kind,
        metadata=Metadata(name=name, labels={"team": "a"}),
        spec=SPECS[kind],
        created_us=Micros(5),
        updated_us=Micros(5),
    )
    return replace(made, **changes)


def key(name: str, created: int) -> Key:
    return Key(
        id=KeyId(name),
        project=ProjectId("default"),
        name=name,
        scopes=("infer", "read"),
        models=("m", "n*"),
        created_us=Micros(created),
    )


@pytest.mark.parametrize("kind", list(SPECS))
def test_a_resource_comes_back_as_it_was_also_after_opening_again(opened: Opener, kind: Kind):
    with opened() as state:
        written = state.put(resource(kind))
        assert written == resource(kind, version=1)
    with opened() as state:
        assert state.get(kind, "default") == written


def test_what_is_not_there_is_none(state: State):
    assert state.get("Project", "default") is None
    assert state.list("Project") == []
    assert state.delete("Project", "default") is False


def test_a_replaced_resource_gets_the_next_version_and_keeps_its_birth(state: State):
    state.put(resource())
    later = resource(created_us=Micros(9), updated_us=Micros(9), spec=ProjectSpec(title="new"))
    written = state.put(later)
    assert (written.version, written.created_us, written.updated_us) == (2, 5, 9)
    assert state.get("Project", "default") == written


@pytest.mark.parametrize(("present", "expected"), [(0, 1), (1, 0), (2, 1)])
def test_a_stale_version_is_a_conflict_and_changes_nothing(
    state: State, present: int, expected: int
):
    for _ in range(present):
        state.put(resource())
    before = state.get("Project", "default"), state.revision()
    with pytest.raises(Conflict, match=f"version {present}, not {expected}"):
        state.put(resource(spec=ProjectSpec(title="x")), expected=expected)
    assert (state.get("Project", "default"), state.revision()) == before


def test_the_expected_version_goes_through(state: State):
    assert state.put(resource(), expected=0).version == 1
    assert state.put(resource(), expected=1).version == 2


def test_a_list_holds_one_kind_by_name(state: State):
    for name in ("b", "a", "c"):
        state.put(resource(name=name))
    state.put(resource("Model", "m"))
    assert [each.metadata.name for each in state.list("Project")] == ["a", "b", "c"]


def test_a_deleted_resource_is_gone_and_begins_again_at_one(state: State):
    state.put(resource())
    state.put(resource())
    assert state.delete("Project", "default") is True
    assert state.get("Project", "default") is None
    assert state.put(resource()).version == 1


def test_the_revision_rises_with_each_write_and_survives(opened: Opener):
    with opened() as state:
        seen = [state.revision()]
        for write in (
            lambda: state.put(resource()),
            lambda: state.put_key(key("k1", 1)),
            lambda: state.put_value("a", b"1"),
            lambda: state.put_value("a", None),
            lambda: state.delete("Project", "default"),
        ):
            write()
            seen.append(state.revision())
    assert seen == sorted(set(seen))
    with opened() as state:
        assert state.revision() == seen[-1]


def test_a_write_that_changes_nothing_leaves_the_revision(state: State):
    before = state.revision()
    state.delete("Project", "default")
    state.put_value("a", None)
    assert state.revision() == before


def test_keys_come_oldest_first_and_whole(state: State):
    young, old = key("k_young", 20), key("k_old", 10)
    state.put_key(young, b"sealed")
    state.put_key(old)
    assert state.keys() == [old, young]


def test_a_secret_is_kept_when_its_key_is_written_again(state: State):
    state.put_key(key("k1", 1), b"sealed")
    revoked = replace(key("k1", 1), revoked_us=Micros(3))
    state.put_key(revoked)
    assert state.keys() == [revoked]
    assert state.secret(KeyId("k1")) == b"sealed"
    state.put_key(revoked, b"other")
    assert state.secret(KeyId("k1")) == b"other"


def test_a_key_without_secret_and_an_unknown_key_have_none(state: State):
    state.put_key(key("k1", 1))
    assert state.secret(KeyId("k1")) is None
    assert state.secret(KeyId("k2")) is None


def test_facts_are_written_replaced_listed_and_removed(state: State):
    state.put_value("node/a", b"\x00\xff")
    state.put_value("node/b", b"")
    state.put_value("nodeless", b"x")
    state.put_value("node/a", b"2")
    assert state.value("node/a") == b"2"
    assert state.values("node/") == {"node/a": b"2", "node/b": b""}
    state.put_value("node/a", None)
    assert state.value("node/a") is None
    assert list(state.values("")) == ["node/b", "nodeless"]


def test_several_facts_are_written_and_removed_together(opened: Opener) -> None:
    with opened() as state:
        state.put_values({"a/1": b"x", "a/2": b"y"})
        before = state.revision()
        state.put_values({"a/1": None, "a/2": b"z", "a/3": b"w"})
        assert state.values("a/") == {"a/2": b"z", "a/3": b"w"}
        assert state.revision() > before
    with opened() as state:
        assert state.values("a/") == {"a/2": b"z", "a/3": b"w"}

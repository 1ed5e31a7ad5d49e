"""Properties of the snapshot compiler."""

from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st

from littoral.control.compiler import Desired, Memo, compile_snapshot, without_secrets
from littoral.domain.deployment import DeploymentSpec, UpstreamSpec
from littoral.domain.ids import Digest, KeyId, NodeId, ProjectId, UpstreamName
from littoral.domain.model import Artefact, Facts, ModelSpec, VersionSpec, VersionStatus
from littoral.domain.project import KeyGrant, ProjectSpec
from littoral.domain.traffic import TrafficGrant
from littoral.domain.units import Bytes, Micros

NODE = NodeId("nd_1")
NAMES = ("a", "b", "c", "d")
CANARY = "canary-credential"
unhurried = settings(max_examples=40, deadline=None)
ARTEFACT = Artefact(
    digest=Digest("sha256:" + "0" * 64),
    size=Bytes(1),
    facts=Facts(
        architecture="llama",
        parameters=1,
        context=512,
        layers=1,
        kv_bytes_per_token=Bytes(1),
        quantisation="F16",
        has_chat_template=False,
    ),
)

local = st.builds(
    DeploymentSpec,
    model=st.sampled_from(NAMES),
    slots=st.one_of(st.none(), st.integers(1, 8)),
    options=st.dictionaries(st.sampled_from(NAMES), st.integers(0, 9), max_size=3),
)
remote = st.builds(
    DeploymentSpec,
    engine=st.just("openai"),
    model=st.sampled_from(NAMES),
    upstream=st.sampled_from([UpstreamName(name) for name in NAMES]),
)
grants = st.builds(
    KeyGrant,
    id=st.sampled_from([KeyId(name) for name in NAMES]),
    mac=st.just(b"m" * 32),
    project=st.just(ProjectId("default")),
    scopes=st.just(("infer",)),
    revoked=st.booleans(),
)


DEPLOYMENTS = st.dictionaries(st.sampled_from(NAMES), st.one_of(local, remote), max_size=3)


def made(deployments, ready, keys) -> Desired:
    specs = {("Deployment", name): spec for name, spec in deployments.items()}
    for name in NAMES:
        specs["Model", name] = ModelSpec(versions=(VersionSpec(name="1", source="hf:x"),))
        specs["Upstream", name] = UpstreamSpec(url=f"https://{name}/v1", credential=CANARY)
    statuses = {
        (name, "1"): VersionStatus(model=name, version="1", phase="ready", artefact=ARTEFACT)
        for name in sorted(ready)
    }
    return Desired(epoch=1, pepper=b"p" * 32, keys=keys, specs=specs, statuses=statuses)


def desired():
    keys = st.lists(grants, max_size=3, unique_by=lambda grant: grant.id)
    return st.builds(made, DEPLOYMENTS, st.sets(st.sampled_from(NAMES)), keys)


def turned(desired: Desired) -> Desired:
    """The same content, declared in the opposite order."""
    return Desired(
        epoch=desired.epoch,
        pepper=desired.pepper,
        keys=list(reversed(desired.keys)),
        specs=dict(reversed(desired.specs.items())),
        statuses=dict(reversed(desired.statuses.items())),
    )


def compiled(desired: Desired, memo: Memo | None = None):
    return compile_snapshot(desired, node=NODE, issued_us=Micros(1), memo=memo or Memo())


@unhurried
@hypothesis_given(desired())
def test_the_order_of_declaration_does_not_matter(content):
    assert compiled(content) == compiled(turned(content))


@unhurried
@hypothesis_given(desired())
def test_the_same_content_keeps_its_version_and_every_revision(content):
    first, memo = compiled(content)
    second, kept = compiled(turned(content), memo)
    assert second == first
    assert kept is memo


@unhurried
@hypothesis_given(desired(), desired())
def test_other_content_has_the_next_version_and_new_revisions_only_where_it_differs(one, two):
    first, memo = compiled(one)
    second, _ = compiled(two, memo)
    before = {item.name: item for item in first.assignments}
    kept = [item for item in second.assignments if before.get(item.name) == item]
    same = first.keys == second.keys and len(kept) == len(first.assignments)
    same = same and len(kept) == len(second.assignments)
    assert second.version == first.version + (not same)
    for item in second.assignments:
        assert item in kept or item.revision == second.version > first.version


@unhurried
@hypothesis_given(desired())
def test_only_ready_weights_are_assigned_and_every_deployment_is(content):
    snapshot, _ = compiled(content)
    assert [item.name for item in snapshot.assignments] == sorted(
        name for kind, name in content.specs if kind == "Deployment"
    )
    for item in snapshot.assignments:
        ready = item.engine == "llama_cpp" and (item.model, "1") in content.statuses
        assert (item.artefact is not None) == ready
        assert (item.upstream is not None) == (item.engine == "openai")


@unhurried
@hypothesis_given(desired())
def test_what_people_see_has_no_secret(content):
    snapshot, memo = compiled(content)
    shown = str(without_secrets(snapshot))
    assert CANARY not in shown
    assert "mmmm" not in shown
    assert "pppp" not in shown
    assert CANARY not in str(memo)


def test_a_new_epoch_is_a_new_version():
    content = Desired(epoch=1, pepper=b"", keys=(), specs={}, statuses={})
    first, memo = compiled(content)
    later = Desired(epoch=2, pepper=b"", keys=(), specs={}, statuses={})
    second, _ = compiled(later, memo)
    assert (first.epoch, first.version, second.epoch, second.version) == (1, 1, 2, 2)


def test_the_settings_of_projects_that_have_any_reach_the_node():
    specs = {
        ("Project", "plain"): ProjectSpec(title="Plain"),
        ("Project", "heavy"): ProjectSpec(weight=3.0, priority="interactive"),
        ("Deployment", "d"): DeploymentSpec(engine="fake", model="m", first_token_ms=900),
    }
    desired = Desired(epoch=1, pepper=b"p", keys=(), specs=specs, statuses={})
    first, memo = compile_snapshot(desired, node=NODE, issued_us=Micros(0), memo=Memo())
    assert first.traffic == (
        TrafficGrant(project=ProjectId("heavy"), weight=3.0, priority="interactive"),
    )
    assert first.assignments[0].first_token_ms == 900
    specs["Project", "heavy"] = ProjectSpec(weight=4.0)
    again, _ = compile_snapshot(desired, node=NODE, issued_us=Micros(0), memo=memo)
    assert again.version == first.version + 1

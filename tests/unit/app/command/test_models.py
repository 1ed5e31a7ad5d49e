import json
from dataclasses import replace

import pytest

from littoral.domain.blob import StoreView, UnusedBlob
from littoral.domain.endpoint import Fit
from littoral.domain.model import Artefact, Facts, ModelSpec, VersionSpec, VersionStatus
from littoral.domain.resource import Change
from littoral.domain.view import CatalogueEntry, Changes, DeltaView, ModelView, VersionView

FACTS = Facts(
    architecture="llama",
    parameters=134_515_008,
    context=2048,
    layers=30,
    kv_bytes_per_token=46_080,
    quantisation="Q4_K_M",
    has_chat_template=True,
)
ARTEFACT = Artefact(digest="sha256:" + "a" * 64, size=93_000_000, facts=FACTS)
FIT = Fit(
    fits=True,
    weights=93_000_000,
    cache=94_000_000,
    overhead=50_000_000,
    available=2_000_000_000,
    slots=4,
    context=2048,
)
SPEC = VersionSpec(name="1", source="pypi:small==1", size=93_000_000, licence="apache-2.0")


def view(phase, *, done=0, total=None, error=None, fit=None):
    artefact = ARTEFACT if phase == "ready" else None
    status = VersionStatus(
        model="small",
        version="1",
        phase=phase,
        done=done,
        total=total,
        artefact=artefact,
        error=error,
    )
    return ModelView(
        name="small",
        description="A small one.",
        versions=(VersionView(spec=SPEC, status=status, fit=fit),),
    )


READY = view("ready", fit=FIT)
PENDING = VersionStatus(model="small", version="1", phase="pending")


def listed(*models):
    return {"items": list(models)}


@pytest.fixture
def catalogue(stand_in):
    entry = CatalogueEntry(name="small", spec=ModelSpec(versions=(SPEC,), description="Tiny."))
    stand_in.on("GET /api/v1/catalogue", listed(entry))
    stand_in.on("GET /api/v1/models", listed())
    return stand_in


def test_pulling_a_catalogue_name_shows_progress_then_size_and_fit(call, catalogue):
    catalogue.on("POST /api/v1/models/small/pull", PENDING)
    fetching = view("fetching", done=40_000_000, total=93_000_000)
    catalogue.on("GET /api/v1/models/small", fetching, READY)
    said = call("models", "pull", "small")
    assert said.status == 0
    assert "43 %  40.0 MB of 93.0 MB" in said.err
    assert "Fetched small: 93.0 MB" in said.err
    assert "Fits: needs 237 MB of 2.0 GB free memory (4 slots, context 2,048)" in said.err
    sent = catalogue.bodies("POST /api/v1/models/small/pull")
    assert sent == [{"version": None, "catalogue": "small"}]


@pytest.mark.parametrize("given", [None, "{{ messages }}"], ids=["none", "declared"])
def test_weights_without_a_chat_template_are_said_to_be_so(call, catalogue, given):
    bare = replace(ARTEFACT, facts=replace(FACTS, has_chat_template=False), chat_template=given)
    version = READY.versions[0]
    version = replace(version, status=replace(version.status, artefact=bare))
    catalogue.on("POST /api/v1/models/small/pull", PENDING)
    catalogue.on("GET /api/v1/models/small", replace(READY, versions=(version,)))
    said = call("models", "pull", "small")
    assert ("no chat template" in said.err) == (given is None)


def test_a_present_model_is_not_said_to_be_fetched(call, catalogue):
    catalogue.on("GET /api/v1/models", listed(READY))
    catalogue.on("POST /api/v1/models/small/pull", READY.versions[0].status)
    catalogue.on("GET /api/v1/models/small", READY)
    assert "small is present: 93.0 MB." in call("models", "pull", "small").err


def test_a_failed_pull_says_why(call, catalogue):
    catalogue.on("POST /api/v1/models/small/pull", PENDING)
    catalogue.on("GET /api/v1/models/small", view("failed", error="no such file"))
    said = call("models", "pull", "small")
    assert said.status == 2
    assert said.err == "error: small could not be fetched: no such file\n"


@pytest.mark.usefixtures("catalogue")
def test_an_unknown_name_lists_the_catalogue_and_the_forms_of_a_source(call):
    said = call("models", "pull", "smal")
    assert said.status == 2
    assert "known: small" in said.err
    assert "file:/path/model.gguf" in said.err


def test_a_source_is_declared_as_a_version_and_pulled(call, catalogue):
    catalogue.on("POST /api/v1/apply", Changes(changes=()))
    catalogue.on("POST /api/v1/models/mine.q4/pull", PENDING)
    catalogue.on("GET /api/v1/models/mine.q4", READY)
    source, digest = "file:/srv/Mine.Q4.gguf", "b" * 64
    said = call("models", "pull", source, "--sha256", digest, "--no-wait", "--json")
    assert said.status == 0
    assert said.json["name"] == "small"
    assert catalogue.bodies("POST /api/v1/apply")[0]["documents"] == [
        {
            "kind": "Model",
            "metadata": {"name": "mine.q4"},
            "spec": {"versions": [{"name": "1", "source": source, "sha256": digest}]},
        }
    ]


def test_a_second_source_of_a_model_becomes_its_next_version(call, catalogue):
    catalogue.on("GET /api/v1/models", listed(READY))
    catalogue.on("POST /api/v1/apply", Changes(changes=()))
    catalogue.on("POST /api/v1/models/small/pull", PENDING)
    catalogue.on("GET /api/v1/models/small", READY)
    call("models", "pull", "https://host/other.gguf", "--name", "small")
    spec = catalogue.bodies("POST /api/v1/apply")[0]["documents"][0]["spec"]
    assert [version["name"] for version in spec["versions"]] == ["1", "2"]
    assert spec["description"] == "A small one."


def test_the_same_source_again_declares_nothing(call, catalogue):
    catalogue.on("GET /api/v1/models", listed(READY))
    catalogue.on("POST /api/v1/models/small/pull", READY.versions[0].status)
    catalogue.on("GET /api/v1/models/small", READY)
    assert call("models", "pull", SPEC.source, "--name", "small").status == 0
    assert catalogue.bodies("POST /api/v1/apply") == []


@pytest.mark.parametrize("words", [["small", "--sha256", "b" * 64], ["file:/"]])
def test_what_makes_no_sense_is_refused_before_anything_is_sent(call, catalogue, words):
    assert call("models", "pull", *words).status == 2
    assert not [made for made, _ in catalogue.calls if made.startswith("POST")]


def test_the_list_shows_state_size_and_fit(call, stand_in):
    failed = view("failed", error="disk full")
    stand_in.on("GET /api/v1/models", listed(READY, failed, view("fetching", done=5, total=10)))
    out = call("models", "list").out
    assert out.splitlines()[1].split() == ["small", "1", "ready", "93.0", "MB", "yes"]
    assert out.splitlines()[2].endswith("disk full")
    assert "fetching 50 %" in out


def test_an_empty_list_says_what_to_do(call, stand_in):
    stand_in.on("GET /api/v1/models", listed())
    assert "littoral models catalogue" in call("models", "list").err


def test_one_model_is_shown_with_its_facts(call, stand_in):
    stand_in.on("GET /api/v1/models/small", READY)
    out = call("models", "show", "small").out
    for text in (
        "pypi:small==1",
        "llama, 135 M parameters",
        "Q4_K_M",
        "2,048 tokens",
        "needs 237 MB",
    ):
        assert text in out


def test_removing_asks_unless_told_not_to(call, stand_in):
    stand_in.on("GET /api/v1/models/small", READY)
    stand_in.on("DELETE /api/v1/models/small", Change(kind="Model", name="small", action="delete"))
    said = call("models", "remove", "small")
    assert said.status == 2
    assert "--yes" in said.err
    assert call("models", "remove", "small", "--yes").err == "Removed small.\n"


def test_cancelling_says_that_what_arrived_is_kept(call, stand_in):
    stand_in.on("POST /api/v1/models/small/cancel", READY)
    assert "kept" in call("models", "cancel", "small").err


@pytest.mark.usefixtures("catalogue")
def test_the_catalogue_is_a_table(call):
    assert "small  93.0 MB  apache-2.0  no       Tiny." in call("models", "catalogue").out


def test_a_delta_shows_what_each_way_costs(call, stand_in):
    found = DeltaView(
        parent="small@1", child="small@2", whole=1000, delta=100, tensors=7, kept=True
    )
    stand_in.on("POST /api/v1/deltas", found)
    lines = call("models", "delta", "small@1", "small@2").out.splitlines()
    assert [line.split()[0] for line in lines] == ["WAY", "whole", "delta"]
    assert "10.0 %" in lines[2]
    assert lines[2].endswith("where the parent is")


def test_an_adapter_is_shown_beside_the_whole(call, stand_in):
    found = DeltaView(parent="small@1", child="small@2", whole=1000, adapter=20)
    stand_in.on("POST /api/v1/deltas", found)
    assert "adapter" in call("models", "delta", "small@1", "small@2").out
    worthless = DeltaView(parent="small@1", child="small@2", whole=1000, delta=990)
    stand_in.on("POST /api/v1/deltas", worthless)
    assert "never" in call("models", "delta", "small@1", "small@2").out


def test_what_nothing_refers_to_is_shown_and_removed(call, stand_in):
    unused = UnusedBlob(
        digest="sha256:" + "a" * 64, size=5_000_000, since_us=0, until_us=86_400_000_000
    )
    seen = StoreView(blobs=3, size=9_000_000, fetching=True, unused=(unused,))
    stand_in.on("GET /api/v1/blobs", seen)
    shown = call("models", "prune", "--dry-run")
    assert "sha256:aaaaaaaaaaaa  5.0 MB" in shown.out
    assert "1970-01-02" in shown.out
    assert "Blobs: 3, 9.0 MB; unused: 1." in shown.err
    assert "nothing is removed" in shown.err
    left = StoreView(blobs=2, size=1, fetching=False, removed=(unused.digest,), freed=5_000_000)
    stand_in.on("POST /api/v1/blobs/prune", left)
    assert "Removed unused blobs: 1, 5.0 MB." in call("models", "prune").err
    assert json.loads(call("models", "prune", "--json").out)["freed"] == 5_000_000

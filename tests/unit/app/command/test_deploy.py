import io
from dataclasses import replace

import pytest

from littoral.app.command.deploy import name_of
from littoral.app.command.messages import Messages
from littoral.app.command.readiness import wait_ready
from littoral.app.command.screen import Screen
from littoral.app.command.waiting import Patience
from littoral.domain.deployment import Assignment, DeploymentSpec
from littoral.domain.endpoint import Endpoint
from littoral.domain.errors import DeadlinePassed, UnknownName
from littoral.domain.model import Artefact, Facts, ModelSpec, VersionSpec, VersionStatus
from littoral.domain.node import Node
from littoral.domain.resource import Change
from littoral.domain.snapshot import Snapshot
from littoral.domain.view import (
    CatalogueEntry,
    Changes,
    DeploymentView,
    ModelView,
    PlacedEndpoint,
    VersionView,
)
from littoral.testing.clock import SettableClock

CREATED = Changes(changes=(Change(kind="Deployment", name="small", action="create"),))


def view(phase, why="", *, state=None, revision=7):
    """A deployment whose one endpoint runs a revision; the snapshot's is 7."""
    endpoint = Endpoint(
        id=f"small@{revision}",
        deployment="small",
        serves="small",
        engine="llama_cpp",
        state=state or ("starting" if phase == "pending" else phase),
    )
    return DeploymentView(
        name="small",
        serves="small",
        spec=DeploymentSpec(model="small"),
        version=1,
        phase=phase,
        why=why,
        endpoints=(PlacedEndpoint(node="nd_1", endpoint=endpoint),),
    )


NODE = Node(id="nd_1", name="local", state="connected", seen_us=1, build="0.1.0")
SNAPSHOT = Snapshot(
    epoch=1,
    version=9,
    issued_us=1,
    node="nd_1",
    pepper=b"",
    keys=(),
    assignments=(
        Assignment(name="small", revision=7, serves="small", engine="llama_cpp", model="small"),
    ),
)


def listed(*views):
    return {"items": list(views)}


@pytest.fixture(autouse=True)
def one_model(stand_in):
    stand_in.on("GET /api/v1/nodes", listed(NODE))
    stand_in.on("GET /api/v1/snapshot", SNAPSHOT)
    stand_in.on("GET /api/v1/models", listed(ModelView(name="small", description="", versions=())))


def test_a_deployment_is_applied_and_awaited(call, stand_in):
    stand_in.on("POST /api/v1/apply", CREATED)
    stand_in.on("GET /api/v1/deployments", listed(view("ready")))
    said = call(
        *["deploy", "small@2", "--slots", "4", "--context", "512", "--max-tokens", "64"],
        *["--option", "threads=2", "--option", "flash=true", "--serves", "chat"],
    )
    assert said.status == 0
    assert said.out == "+ Deployment small  create\n"
    assert "small is ready" in said.err
    sent = stand_in.bodies("POST /api/v1/apply")[0]
    assert sent == {
        "dry_run": False,
        "documents": [
            {
                "kind": "Deployment",
                "metadata": {"name": "small"},
                "spec": {
                    "engine": "llama_cpp",
                    "model": "small@2",
                    "serves": "chat",
                    "slots": 4,
                    "context": 512,
                    "max_tokens": 64,
                    "options": {"threads": 2, "flash": True},
                },
            }
        ],
    }


def test_a_failed_deployment_says_why(call, stand_in):
    stand_in.on("POST /api/v1/apply", CREATED)
    stand_in.on("GET /api/v1/deployments", listed(view("failed", why="no memory: 9 GB needed")))
    said = call("deploy", "small")
    assert said.status == 2
    assert "error: small failed: no memory: 9 GB needed" in said.err


def test_a_dry_run_waits_for_nothing(call, stand_in):
    stand_in.on("POST /api/v1/apply", CREATED)
    said = call("deploy", "small", "--dry-run")
    assert "Nothing was changed" in said.err
    assert stand_in.bodies("POST /api/v1/apply")[0]["dry_run"] is True
    assert [made for made, _ in stand_in.calls] == ["GET /api/v1/models", "POST /api/v1/apply"]


def test_one_may_go_on_without_waiting(call, stand_in):
    stand_in.on("POST /api/v1/apply", CREATED)
    said = call("deploy", "small", "--no-wait", "--json")
    assert said.json["changes"][0]["action"] == "create"
    assert [made for made, _ in stand_in.calls] == ["GET /api/v1/models", "POST /api/v1/apply"]


def test_a_refusal_of_control_is_passed_on(call, stand_in):
    stand_in.refuse("POST /api/v1/apply", 400, "invalid_request", "no engine named 'x'")
    said = call("deploy", "small")
    assert (said.status, said.err) == (2, "error: no engine named 'x'\n")


@pytest.mark.parametrize(
    ("model", "name"),
    [("small@2", "small"), ("Org/Big Model", "org-big-model"), ("gpt-4.1", "gpt-4.1")],
)
def test_the_name_comes_from_the_model(model, name):
    assert name_of(model) == name


class Control:
    """An admin client whose deployment comes as given, the last one for ever."""

    def __init__(self, *views):
        self.views = list(views)

    def nodes(self):
        return [NODE]

    def snapshot(self, *, node):
        assert node == NODE.id
        return SNAPSHOT

    def deployments(self):
        return [self.views.pop(0) if len(self.views) > 1 else self.views[0]]


def awaited(*views):
    clock, err = SettableClock(), io.StringIO()
    shown = Screen(as_json=False, out=io.StringIO(), err=err, say=Messages("en"))
    patience = Patience(clock=clock, pause=clock.advance, every_s=0.5)
    wait_ready(Control(*views), "small", shown=shown, timeout_s=2.0, patience=patience)
    return err.getvalue().splitlines()


def test_waiting_ends_and_says_how_far_it_came():
    with pytest.raises(DeadlinePassed, match="loading 40 %"):
        awaited(view("pending", why="loading 40 %"))


def test_what_is_waited_for_is_said_once():
    loading, ready = view("pending", why="loading"), view("ready")
    assert awaited(loading, loading, ready) == [
        "Waiting until small is ready ...",
        "  loading",
        "small is ready after 1.0 s.",
    ]


def test_an_earlier_revision_that_still_runs_is_not_taken_for_the_present_one():
    assert awaited(view("ready", revision=6), view("ready"))[-1] == "small is ready after 500 ms."
    assert awaited(view("failed", revision=6), view("ready"))[-1].startswith("small is ready")


def test_a_deployment_that_is_gone_is_told():
    with pytest.raises(UnknownName, match="known: other"):
        awaited(replace(view("ready"), name="other"))


def test_a_model_that_is_not_here_is_to_be_fetched_first(call, stand_in):
    stand_in.on("GET /api/v1/catalogue", listed())
    said = call("deploy", "large")
    assert said.status == 2
    assert "littoral models pull large" in said.err
    assert stand_in.bodies("POST /api/v1/apply") == []


def test_an_upstream_s_model_need_not_be_here(call, stand_in):
    stand_in.on("POST /api/v1/apply", CREATED)
    upstream = ["--engine", "openai", "--upstream", "office"]
    said = call("deploy", "large", *upstream, "--no-wait")
    assert said.status == 0


def here(form):
    """A model whose weights have arrived."""
    facts = Facts(
        format=form,
        architecture="a",
        parameters=1,
        context=512,
        layers=1,
        kv_bytes_per_token=0,
        quantisation="I8",
        has_chat_template=False,
    )
    artefact = Artefact(digest="sha256:" + "0" * 64, size=1, facts=facts)
    status = VersionStatus(model="m", version="v", phase="ready", artefact=artefact)
    spec = VersionSpec(name="v", source="file:/m")
    return ModelView(
        name="m", description="", versions=(VersionView(spec=spec, status=status, fit=None),)
    )


@pytest.mark.parametrize(
    ("form", "engine"), [("gguf", "llama_cpp"), ("onnx", "embed"), ("ctranslate2", "whisper")]
)
def test_weights_choose_their_engine(call, stand_in, form, engine):
    stand_in.on("GET /api/v1/models", listed(here(form)))
    stand_in.on("POST /api/v1/apply", CREATED)
    assert call("deploy", "m@v", "--no-wait").status == 0
    spec = stand_in.bodies("POST /api/v1/apply")[0]["documents"][0]["spec"]
    assert spec["engine"] == engine


def test_a_model_of_the_catalogue_is_fetched_and_deployed_in_one_command(call, stand_in):
    entry = CatalogueEntry(name="m", spec=ModelSpec(versions=()), present=False)
    stand_in.on("GET /api/v1/models", listed())
    stand_in.on("GET /api/v1/catalogue", listed(entry))
    begun = VersionStatus(model="m", version="v", phase="pending")
    stand_in.on("POST /api/v1/models/m/pull", begun)
    stand_in.on("GET /api/v1/models/m", here("onnx"))
    stand_in.on("POST /api/v1/apply", CREATED)
    stand_in.on("GET /api/v1/deployments", listed(replace(view("ready"), name="m")))
    said = call("deploy", "m", "--timeout", "0.1")
    assert stand_in.bodies("POST /api/v1/models/m/pull")[0]["catalogue"] == "m"
    spec = stand_in.bodies("POST /api/v1/apply")[0]["documents"][0]["spec"]
    assert spec["engine"] == "embed", said.err

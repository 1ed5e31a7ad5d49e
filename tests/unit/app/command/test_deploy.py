import io

import pytest

from littoral.app.command.deploy import name_of, wait_ready
from littoral.app.command.messages import Messages
from littoral.app.command.screen import Screen
from littoral.app.command.waiting import Patience
from littoral.domain.deployment import DeploymentSpec
from littoral.domain.errors import DeadlinePassed
from littoral.domain.resource import Change
from littoral.domain.view import Changes, DeploymentView, ModelView
from littoral.testing.clock import SettableClock

CREATED = Changes(changes=(Change(kind="Deployment", name="small", action="create"),))


def view(phase, why="", name="small"):
    spec = DeploymentSpec(model="small")
    return DeploymentView(name=name, serves=name, spec=spec, version=1, phase=phase, why=why)


def listed(*views):
    return {"items": list(views)}


@pytest.fixture(autouse=True)
def one_model(stand_in):
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


class Slow:
    """An admin client whose deployment is never ready."""

    def __init__(self):
        self.asked = 0

    def deployments(self):
        self.asked += 1
        return [view("pending", why="loading 40 %")]


def test_waiting_ends_and_says_how_far_it_came():
    clock = SettableClock()
    shown = Screen(as_json=False, out=io.StringIO(), err=io.StringIO(), say=Messages("en"))
    slow = Slow()
    with pytest.raises(DeadlinePassed, match="loading 40 %"):
        wait_ready(
            slow,
            "small",
            shown=shown,
            timeout_s=2.0,
            patience=Patience(clock=clock, pause=clock.advance, every_s=0.5),
        )
    assert slow.asked == 5


def test_a_model_that_is_not_here_is_to_be_fetched_first(call, stand_in):
    said = call("deploy", "large")
    assert said.status == 2
    assert "littoral models pull large" in said.err
    assert stand_in.bodies("POST /api/v1/apply") == []


def test_an_upstream_s_model_need_not_be_here(call, stand_in):
    stand_in.on("POST /api/v1/apply", CREATED)
    said = call(
        *[
            "deploy",
            "large",
            "--engine",
            "openai",
            "--upstream",
            "office",
            "--name",
            "small",
            "--no-wait",
        ]
    )
    assert said.status == 0

import pytest

from littoral.domain.units import Micros
from littoral.domain.view import RolloutView

VIEW = RolloutView(
    deployment="chat",
    state="running",
    old="smol@1",
    new="smol@2",
    percent=5,
    since_us=Micros(1_800_000_000_000_000),
    requests=20,
    failed=1,
    scored=12,
    why="20 of 200 requests",
    golden=50,
)


def test_the_status_shows_share_and_reason(call, stand_in):
    stand_in.on("GET /api/v1/rollouts", {"items": [VIEW]})
    lines = call("rollout", "status").out.splitlines()
    assert lines[0].split()[0] == "DEPLOYMENT"
    assert "smol@2" in lines[1]
    assert "12 of 50" in lines[1]
    assert lines[1].endswith("20 of 200 requests")


def test_without_rollouts_it_says_how_to_begin_one(call, stand_in):
    stand_in.on("GET /api/v1/rollouts", {"items": []})
    assert "spec.rollout" in call("rollout", "status").err


@pytest.mark.parametrize("act", ["pause", "resume", "undo", "promote"])
def test_each_act_is_sent_and_its_outcome_told(call, stand_in, act):
    stand_in.on("POST /api/v1/rollouts/chat", VIEW)
    said = call("rollout", act, "chat")
    assert said.status == 0, said.err
    assert stand_in.bodies("POST /api/v1/rollouts/chat") == [{"act": act}]
    assert "5 %" in said.err

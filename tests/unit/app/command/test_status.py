from littoral.domain.deployment import DeploymentSpec
from littoral.domain.view import DeploymentView, Overview

OVERVIEW = Overview(
    cluster="c",
    build="0.1.0",
    started_us=1,
    revision=1,
    nodes={"connected": 1},
    deployments={},
    models={},
    blobs_free=1,
)
VIEW = DeploymentView(
    name="d",
    serves="m",
    spec=DeploymentSpec(model="m", engine="fake"),
    version=1,
    phase="failed",
    why="no memory",
)


def test_nothing_running_is_told_with_the_next_step(run, tmp_path):
    said = run("status", "--data-dir", str(tmp_path))
    assert (said.status, said.out) == (1, "")
    assert "littoral up" in said.err
    told = run("status", "--json", "--data-dir", str(tmp_path)).json
    assert told == {
        "url": None,
        "ready": False,
        "version": None,
        "data_dir": str(tmp_path),
        "processes": [],
        "deployments": [],
    }


def test_another_instance_s_state_comes_from_its_control(call, stand_in):
    stand_in.on("GET /api/v1/status", OVERVIEW)
    stand_in.on("GET /api/v1/deployments", {"items": [VIEW]})
    stand_in.on("GET /readyz", None)
    said = call("status")
    assert said.status == 0
    assert "ready  littoral 0.1.0" in said.out
    assert "d           m       fake    failed  no memory" in said.out
    stand_in.on("GET /readyz", None, status=503)
    assert call("status").status == 1


def test_stopping_nothing_is_fine(run, tmp_path):
    said = run("down", "--data-dir", str(tmp_path))
    assert said.status == 0
    assert "not running" in said.err

import pytest

from littoral.domain.ids import NodeId
from littoral.domain.release import Release, WheelFile
from littoral.domain.units import Micros
from littoral.domain.view import UpdatedNode, UpdateView

WHEEL = WheelFile(name="littoral-0.2.0-py3-none-any.whl", digest="sha256:" + "0" * 64, size=1000)
RELEASE = Release(version="0.2.0", wheels=(WHEEL,), requires="0.1.0")
VIEW = UpdateView(
    version="0.2.0",
    state="running",
    everyone=False,
    canary=0.1,
    sites=(),
    since_us=Micros(1_800_000_000_000_000),
    why="0 of the first 1 nodes are healthy",
    nodes=(
        UpdatedNode(
            node=NodeId("nd1"),
            name="pier-4",
            site="default",
            runs="0.1.0",
            first=True,
            phase="fetching",
            why="",
        ),
    ),
)


def test_wheels_are_sent_and_become_a_release(call, stand_in, tmp_path):
    file = tmp_path / WHEEL.name
    file.write_bytes(b"PK wheel")
    stand_in.on("POST /api/v1/wheels", WHEEL)
    stand_in.on("POST /api/v1/releases", RELEASE)
    said = call("releases", "add", str(file))
    assert said.status == 0, said.err
    assert stand_in.bodies("POST /api/v1/wheels")[0]["name"] == WHEEL.name
    assert "littoral update start 0.2.0" in said.err


@pytest.mark.parametrize("name", ["notes.txt", "littoral-0.2.0-py3-none-any.whl"])
def test_what_is_no_wheel_or_is_not_there_is_refused(call, stand_in, tmp_path, name):
    assert call("releases", "add", str(tmp_path / name)).status == 2
    assert call("releases", "add").status == 2
    assert stand_in.calls == []


def test_a_wheel_that_is_too_large_is_refused(call, tmp_path):
    file = tmp_path / WHEEL.name
    with file.open("wb") as sparse:
        sparse.truncate(45 * 1024 * 1024)
    said = call("releases", "add", str(file))
    assert said.status == 2
    assert "may have" in said.err


def test_releases_are_listed_and_forgotten(call, stand_in):
    stand_in.on("GET /api/v1/releases", {"items": [RELEASE]})
    assert call("releases", "list").out.splitlines()[1].split()[:3] == ["0.2.0", "0.1.0", "1"]
    stand_in.on("GET /api/v1/releases", {"items": []})
    assert "littoral releases add" in call("releases", "list").err
    stand_in.on("DELETE /api/v1/releases/0.2.0", RELEASE)
    assert "0.2.0" in call("releases", "remove", "0.2.0").err


def test_an_update_is_begun_with_its_bounds(call, stand_in):
    stand_in.on("POST /api/v1/updates", VIEW)
    words = ("--canary", "25%", "--site", "harbour", "--minutes", "30", "--within", "60")
    said = call("update", "start", "0.2.0", *words)
    assert said.status == 0, said.err
    assert stand_in.bodies("POST /api/v1/updates") == [
        {
            "version": "0.2.0",
            "canary": 0.25,
            "sites": ["harbour"],
            "minutes": 30.0,
            "within_s": 60.0,
        }
    ]
    assert "pier-4" in said.out


@pytest.mark.parametrize("share", ["0", "101%", "half"])
def test_a_share_that_is_none_is_refused(call, share):
    assert call("update", "start", "0.2.0", "--canary", share).status == 2


def test_the_status_shows_each_node_and_whether_it_is_paused(call, stand_in):
    stand_in.on("GET /api/v1/updates", {"items": []})
    assert "littoral update start" in call("update", "status").err
    stand_in.on("GET /api/v1/updates", {"items": [VIEW]})
    said = call("update", "status")
    assert said.status == 0
    assert "fetching" in said.out
    stand_in.on("GET /api/v1/updates", {"items": [{**_plain(VIEW), "state": "paused"}]})
    assert call("update", "status").status == 1


def _plain(view: UpdateView) -> dict[str, object]:
    import msgspec  # noqa: PLC0415  only here

    return msgspec.to_builtins(view)


@pytest.mark.parametrize("act", ["pause", "resume", "undo"])
def test_each_act_is_sent(call, stand_in, act):
    stand_in.on("POST /api/v1/updates/act", VIEW)
    assert call("update", act).status == 0
    assert stand_in.bodies("POST /api/v1/updates/act") == [{"act": act}]


def test_at_a_machine_without_a_node_nothing_goes_back(run, tmp_path):
    said = run("update", "undo", "--local", "--data-dir", str(tmp_path))
    assert said.status
    assert "no node answers" in said.err

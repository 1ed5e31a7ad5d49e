"""Models and deployments: what is here, whether it fits, why something is pending."""

import hashlib

import pytest

from littoral.domain.ids import Digest


def ready(site, given, **more):
    """Make the model's weights present."""
    writer = site.blobs.writer()
    writer.write(b"weights")
    digest = writer.commit()
    assert digest == "sha256:" + hashlib.sha256(b"weights").hexdigest()
    plain = given.artefact(**more)
    artefact = type(plain)(digest=Digest(digest), size=plain.size, facts=plain.facts)
    site.obtainer.put("smol", "1", phase="ready", artefact=artefact)
    return artefact


def deployment(site, name: str = "chat") -> dict:
    views = site.call("GET", "/deployments").json()["items"]
    return next(view for view in views if view["name"] == name)


def test_pulling_an_entry_of_the_catalogue_makes_the_model_and_begins(site):
    answer = site.call("POST", "/models/smol/pull", json={})
    assert (answer.status_code, answer.json()["phase"]) == (202, "pending")
    [entry] = site.call("GET", "/catalogue").json()["items"]
    assert (entry["name"], entry["present"]) == ("smol", True)
    assert [version.name for _, version in site.obtainer.started] == ["1"]
    again = site.call("POST", "/models/smol/pull", json={"version": "1"})
    assert again.status_code == 202


def test_a_catalogue_entry_may_be_pulled_under_another_name(site):
    assert site.call("POST", "/models/mine/pull", json={"catalogue": "smol"}).status_code == 202
    assert site.call("GET", "/models/mine").json()["description"] == "small"


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("nope", {}, 404),
        ("smol", {"catalogue": "nope"}, 404),
        ("A B", {"catalogue": "smol"}, 400),
        ("smol", {"url": "http://x"}, 400),
    ],
)
def test_what_cannot_be_pulled_is_refused(site, name, body, status):
    answer = site.call("POST", f"/models/{name}/pull", json=body)
    assert answer.status_code == status
    assert site.obtainer.started == []


def test_a_version_that_does_not_exist_cannot_be_pulled(site, given):
    site.apply(given.MODEL)
    answer = site.call("POST", "/models/smol/pull", json={"version": "7"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "version")


def test_a_pull_can_be_cancelled(site, given):
    site.apply(given.MODEL)
    site.call("POST", "/models/smol/pull", json={})
    view = site.call("POST", "/models/smol/cancel").json()
    assert view["versions"][0]["status"]["phase"] == "failed"
    assert site.call("POST", "/models/nope/cancel").status_code == 404


@pytest.mark.parametrize(("memory", "fits"), [(8 << 30, True), (1 << 28, False)])
def test_the_fit_is_said_before_the_model_is_loaded(site, given, memory, fits):
    site.apply(given.MODEL, given.LOCAL)
    ready(site, given)
    assert site.call("GET", "/models/smol").json()["versions"][0]["fit"] is None
    site.join(memory=memory)
    assert deployment(site)["fit"]["fits"] is fits
    [view] = site.call("GET", "/models").json()["items"]
    fit = view["versions"][0]["fit"]
    assert fit["available"] < memory
    assert view["deployments"] == ["chat"]
    if not fits:
        assert deployment(site)["why"].startswith("the model does not fit the memory: ")


def test_the_fit_is_not_said_of_weights_that_are_loaded(site, given):
    site.apply(given.MODEL, given.LOCAL)
    ready(site, given)
    site.join(endpoints=[given.endpoint("chat")])
    assert site.call("GET", "/models/smol").json()["versions"][0]["fit"] is None
    assert deployment(site)["fit"] is None


def test_why_a_deployment_is_not_ready_is_said_in_a_sentence(site, given):
    site.apply(given.MODEL, given.LOCAL)
    site.obtainer.forget("smol", "1")
    said = []
    said.append(deployment(site)["why"])
    for phase, error in [
        ("pending", None),
        ("fetching", None),
        ("checking", None),
        ("failed", "x"),
    ]:
        site.obtainer.put("smol", "1", phase=phase, error=error)
        said.append(deployment(site)["why"])
    ready(site, given)
    said.append(deployment(site)["why"])
    site.join()
    said.append(deployment(site)["why"])
    assert said == [
        "smol@1 is not here yet; fetch it with: littoral models pull smol",
        "smol@1 waits to be fetched",
        "smol@1 is being fetched: 0 MB",
        "smol@1 is being checked",
        "smol@1 could not be fetched: x",
        "no node is connected yet",
        "the node is starting it",
    ]


@pytest.mark.parametrize(
    ("states", "phase", "why"),
    [
        (["ready"], "ready", "ready on 1 node(s)"),
        (["ready", "draining"], "ready", "ready on 1 node(s)"),
        (["ready", "failed"], "degraded", "chat-0 is failed: out of memory"),
        (["failed"], "failed", "chat-0 is failed: out of memory"),
        (["starting"], "pending", "chat-0 is starting: out of memory"),
        (["draining"], "pending", "chat-0 is draining: out of memory"),
    ],
)
def test_the_phase_follows_the_endpoints(site, given, states, phase, why):
    site.apply(given.MODEL, given.LOCAL)
    ready(site, given)
    reason = {"reason": "out of memory"}
    endpoints = [given.endpoint("chat", state, **reason) for state in states]
    site.join(endpoints=[*endpoints, given.endpoint("other")])
    view = deployment(site)
    assert (view["phase"], view["why"], len(view["endpoints"])) == (phase, why, len(states))


def test_endpoints_of_a_silent_node_do_not_count(site, given):
    site.apply(given.MODEL, given.LOCAL)
    ready(site, given)
    site.join(endpoints=[given.endpoint("chat")])
    site.clock.advance(60)
    assert (deployment(site)["phase"], deployment(site)["why"]) == (
        "pending",
        "no node is connected yet",
    )


def test_a_model_in_use_is_not_removed(site, given):
    site.apply(given.MODEL, given.LOCAL)
    artefact = ready(site, given)
    assert site.call("DELETE", "/models/smol").status_code == 409
    assert site.blobs.path(artefact.digest) is not None


def test_removing_a_model_removes_what_only_it_had(site, given):
    site.apply(given.MODEL)
    artefact = ready(site, given)
    assert site.call("DELETE", "/models/smol").json()["action"] == "delete"
    assert site.blobs.path(artefact.digest) is None
    assert list(site.obtainer.statuses()) == []
    assert site.call("DELETE", "/models/smol").status_code == 404


def test_weights_that_another_model_uses_stay(site, given):
    site.apply(
        given.MODEL, given.document("Model", "twin", versions=[{"name": "1", "source": "hf:a"}])
    )
    artefact = ready(site, given)
    site.obtainer.put("twin", "1", phase="ready", artefact=artefact)
    site.call("DELETE", "/models/smol")
    assert site.blobs.path(artefact.digest) is not None
    site.call("DELETE", "/models/twin")
    assert site.blobs.path(artefact.digest) is None


def test_the_snapshot_carries_weights_only_once_they_are_ready(site, given):
    site.apply(given.MODEL, given.LOCAL, given.REMOTE | {"spec": {"engine": "fake", "model": "x"}})
    site.join()

    def artefacts():
        found = site.call("GET", "/snapshot").json()["assignments"]
        return {item["name"]: item["artefact"] is not None for item in found}

    assert artefacts() == {"chat": False, "remote": False}
    ready(site, given)
    assert artefacts() == {"chat": True, "remote": False}


def test_the_snapshot_route_wants_a_node_where_there_are_several(site):
    assert site.call("GET", "/snapshot").status_code == 400
    site.join("nd_1")
    assert site.call("GET", "/snapshot").json()["node"] == "nd_1"
    site.join("nd_2")
    assert site.call("GET", "/snapshot").status_code == 400
    assert site.call("GET", "/snapshot", params={"node": "nd_2"}).json()["node"] == "nd_2"
    assert site.call("GET", "/snapshot", params={"node": "nd_3"}).status_code == 404


def test_a_changed_source_is_obtained_again_and_a_dropped_version_forgotten(site, given):
    site.apply(given.MODEL)
    artefact = ready(site, given)
    other = given.document("Model", "smol", versions=[{"name": "1", "source": "pypi:smol==2"}])
    site.apply(other)
    assert [version.source for _, version in site.obtainer.started] == ["pypi:smol==2"]
    site.apply(given.document("Model", "smol", versions=[{"name": "2", "source": "pypi:smol==2"}]))
    assert list(site.obtainer.statuses()) == []
    assert site.blobs.path(artefact.digest) is None


def test_deleting_the_resource_is_removing_the_model(site, given):
    site.apply(given.MODEL)
    artefact = ready(site, given)
    assert site.call("DELETE", "/resources/Model/smol").status_code == 200
    assert (list(site.obtainer.statuses()), site.blobs.path(artefact.digest)) == ([], None)


def test_a_deployment_serves_its_own_name_unless_it_says_another(site, given):
    site.apply(given.MODEL, given.LOCAL)
    site.apply(given.document("Deployment", "b", engine="fake", model="m", serves="org/Chat:1"))
    site.join()
    served = {
        item["name"]: item["serves"] for item in site.call("GET", "/snapshot").json()["assignments"]
    }
    assert served == {"chat": "chat", "b": "org/Chat:1"}
    assert deployment(site, "b")["serves"] == "org/Chat:1"

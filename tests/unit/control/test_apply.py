"""Apply, diff and delete of declared resources, through the API."""

import pytest

from littoral.domain.failpoint import NAMES


def actions(answer) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {f"{item['kind']}/{item['name']}": item["action"] for item in answer.json()["changes"]}


def refused(answer, status: int = 400) -> dict:
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


def test_applying_twice_changes_nothing_the_second_time(site, given):
    documents = [given.LOCAL, given.MODEL, given.UPSTREAM, given.REMOTE]
    first = actions(site.apply(*documents))
    assert set(first.values()) == {"create"}
    revision = site.state.revision()
    assert set(actions(site.apply(*documents)).values()) == {"unchanged"}
    assert site.state.revision() == revision


def test_a_dry_run_says_the_same_and_writes_nothing(site, given):
    revision = site.state.revision()
    planned = site.apply(given.MODEL, given.LOCAL, dry_run=True)
    assert site.state.revision() == revision
    assert planned.json() == site.apply(given.MODEL, given.LOCAL).json()


def test_an_update_names_the_fields_that_change(site, given):
    site.apply(given.MODEL, given.LOCAL)
    changed = given.document("Deployment", "chat", model="smol", slots=3, options={"delay_ms": 1})
    changed["metadata"]["labels"] = {"team": "a"}
    [change] = site.apply(changed).json()["changes"]
    assert change["action"] == "update"
    assert change["fields"] == ["metadata.labels.team", "spec.options.delay_ms", "spec.slots"]
    assert site.call("GET", "/resources/Deployment/chat").json()["version"] == 2


def test_what_get_answers_may_be_applied_again(site, given):
    site.apply(given.MODEL, given.LOCAL, given.UPSTREAM)
    for kind in ("Model", "Deployment", "Upstream", "Project"):
        for item in site.call("GET", f"/resources/{kind}").json()["items"]:
            assert set(actions(site.apply(item)).values()) == {"unchanged"}


PIN = "0" * 64


def beside(*files):
    """A model whose version has files beside its weights."""
    listed = [{"source": "hf:a", **file} for file in files]
    return {"versions": [{"name": "1", "source": "hf:a", "files": listed}]}


@pytest.mark.parametrize("place", ["top", "metadata"])
def test_a_stale_version_is_a_conflict_and_writes_nothing(site, given, place):
    site.apply(given.MODEL, given.LOCAL)
    stale = site.call("GET", "/resources/Deployment/chat").json()
    site.apply(given.document("Deployment", "chat", model="smol", slots=5))
    if place == "metadata":
        stale["metadata"]["version"] = stale.pop("version")
    stale["spec"]["slots"] = 7
    error = refused(site.apply(stale), 409)
    assert error["code"] == "conflict"
    assert "version 2, not 1" in error["message"]
    assert site.call("GET", "/resources/Deployment/chat").json()["spec"]["slots"] == 5


def test_one_wrong_document_stops_all_of_them(site, given):
    wrong = given.document("Deployment", "bad", model="smol", slots=0)
    error = refused(site.apply(given.MODEL, wrong))
    assert error["param"] == "documents[1].spec.slots"
    assert site.call("GET", "/resources/Model/smol").status_code == 404


def test_the_same_document_twice_is_refused(site, given):
    error = refused(site.apply(given.MODEL, given.MODEL))
    assert error["param"] == "documents[1]"


@pytest.mark.parametrize(
    ("spec", "param", "said"),
    [
        ({"model": "smol", "slots": 4097}, "spec.slots", "1 to 4096"),
        ({"model": "smol", "context": 127}, "spec.context", "128"),
        ({"model": "smol", "context": 4096}, "spec.context", "2048"),
        ({"model": "smol", "context": 256, "max_tokens": 257}, "spec.max_tokens", "256"),
        ({"model": "smol", "price_in": -1}, "spec.price_in", "0"),
        ({"model": "smol", "first_token_ms": 0}, "spec.first_token_ms", "1"),
        ({"model": "smol", "serves": "a b"}, "spec.serves", "letters"),
        ({"model": "smol", "serves": "x" * 97}, "spec.serves", "96"),
        ({"model": "smol", "upstream": "far"}, "spec.upstream", "no upstream"),
        ({"model": "nope"}, "spec.model", "known: smol"),
        ({"model": "smol@9"}, "spec.model", "known: 1"),
        ({"model": "smol", "engine": "vllm"}, "spec.engine", "fake, llama_cpp, openai"),
        ({"engine": "openai", "model": "m"}, "spec.upstream", "needs an upstream"),
        ({"engine": "openai", "model": "m", "upstream": "x"}, "spec.upstream", "known: far"),
        ({"engine": "fake", "model": "m", "upstream": "far"}, "spec.upstream", "no upstream"),
        ({"model": "smol", "slot": 2}, "spec.slot", "known here"),
        ({"model": "smol", "options": {"x": 1}}, "spec.options.x", "no option"),
        ({"model": "smol", "options": {"x": []}}, "spec.options", "expected"),
        ({"engine": "fake"}, "spec", "model"),
    ],
)
def test_a_wrong_deployment_is_refused_with_its_path(site, given, spec, param, said):
    site.apply(given.MODEL, given.UPSTREAM)
    site.obtainer.put("smol", "1", phase="ready", artefact=given.artefact())
    error = refused(site.apply(given.document("Deployment", "d", **spec)))
    assert error["param"].startswith(f"documents[0].{param}")
    assert said in error["message"]


@pytest.mark.parametrize(
    ("kind", "spec", "param"),
    [
        ("Model", {"versions": []}, "spec.versions"),
        ("Model", {"versions": [{"name": "1", "source": "ftp://x/y"}]}, "spec.versions[0].source"),
        ("Model", {"versions": [{"name": "a b", "source": "hf:a"}]}, "spec.versions[0].name"),
        (
            "Model",
            {"versions": [{"name": "1", "source": "hf:a", "sha256": "xx"}]},
            "spec.versions[0].sha256",
        ),
        (
            "Model",
            {"versions": [{"name": "1", "source": "hf:a"}, {"name": "1", "source": "hf:b"}]},
            "spec.versions[1].name",
        ),
        (
            "Model",
            {"versions": [{"name": "1", "source": "hf:a", "size": 0}]},
            "spec.versions[0].size",
        ),
        ("Model", beside({"name": "a/b", "sha256": PIN}), "spec.versions[0].files[0].name"),
        ("Model", beside({"name": "a"}), "spec.versions[0].files[0].sha256"),
        (
            "Model",
            beside({"name": "a", "sha256": PIN}, {"name": "a", "sha256": PIN}),
            "spec.versions[0].files[1].name",
        ),
        ("Model", beside({"name": "weights", "sha256": PIN}), "spec.versions[0].sha256"),
        ("Upstream", {"url": "ftp://x"}, "spec.url"),
        ("Upstream", {"url": "https://user:pw@host/v1"}, "spec.url"),
        ("Upstream", {"url": "http://h\\@evil/v1"}, "spec.url"),
        ("Upstream", {"url": "http://h/v1?x=1"}, "spec.url"),
        ("Upstream", {"url": "http://h:99999/v1"}, "spec.url"),
        ("Upstream", {"url": "http://h/v1", "credential": "a\r\nb: c"}, "spec.credential"),
        ("Upstream", {"url": "http://h/v1", "credential": "***"}, "spec.credential"),
        ("Project", {"title": "x" * 201}, "spec.title"),
        ("Project", {"weight": 0}, "spec.weight"),
        ("Project", {"guard": {"max_input_tokens": 0}}, "spec.guard.max_input_tokens"),
        ("Project", {"guard": {"max_output_tokens": 0}}, "spec.guard.max_output_tokens"),
        ("Project", {"guard": {"tools": [""]}}, "spec.guard.tools[0]"),
        ("Project", {"guard": {"redact": ["name"]}}, "spec.guard.redact[0]"),
        ("Project", {"guard": {"nonsense": 1}}, "spec.guard.nonsense"),
        ("Project", {"priority": "urgent"}, "spec.priority"),
        ("Project", {"cache": {"ttl_s": 0}}, "spec.cache.ttl_s"),
        ("Project", {"brownout": {"after_s": 0}}, "spec.brownout.after_s"),
        (
            "Project",
            {"cache": {"semantic": {"model": "e", "threshold": 0.1}}},
            "spec.cache.semantic.threshold",
        ),
        ("Project", {"brownout": {"smaller": "no spaces"}}, "spec.brownout.smaller"),
        ("Project", {"titel": "x"}, "spec.titel"),
        ("Policy", {"total_s": 0}, "spec.total_s"),
        ("Policy", {"miss_cost": 1.0}, "spec.miss_cost"),
        ("Policy", {"total_s": 1, "miss_cost": -1.0}, "spec.miss_cost"),
        ("Policy", {"total_s": 1, "miss_cost": "much"}, "spec.miss_cost"),
        ("Policy", {"match": {"projects": ["none"]}}, "spec.match.projects"),
        ("Policy", {"match": {"models": ["m"] * 257}}, "spec.match.models"),
        ("Policy", {"match": {"keys": ["k"] * 257}}, "spec.match.keys"),
        ("Policy", {"match": {"tags": ["No"]}}, "spec.match.tags"),
        ("Policy", {"tag": "No"}, "spec.tag"),
        ("Policy", {"tag": "a", "match": {"tags": ["b"]}}, "spec.tag"),
        ("Policy", {"deployments": ["none"]}, "spec.deployments"),
        ("Policy", {"cascade": {"first": "none", "then": "b", "below": 1}}, "spec.cascade.first"),
        ("Policy", {"cascade": {"first": "n*", "then": "b", "below": 1}}, "spec.cascade.first"),
        ("Policy", {"quality": {"max_loss": 2}}, "spec.quality.max_loss"),
        ("Policy", {"quality": {"ratings": {"none": 1}}}, "spec.quality.ratings"),
        ("Policy", {"residency": "moon"}, "spec.residency"),
    ],
)
def test_other_wrong_specs_are_refused_with_their_path(site, given, kind, spec, param):
    assert (
        refused(site.apply(given.document(kind, "x", **spec)))["param"] == f"documents[0].{param}"
    )


@pytest.mark.parametrize("name", ["", "A", "-a", "a/b", "../x", "x" * 64, "a b"])
def test_a_name_that_cannot_be_one_is_refused(site, given, name):
    assert refused(site.apply(given.document("Project", name)))["param"] == "documents[0]"


@pytest.mark.parametrize(
    "labels", [{"": "x"}, {"a" * 64: "x"}, {"a": "x" * 257}, {str(n): "" for n in range(33)}]
)
def test_labels_are_bounded(site, given, labels):
    wrong = given.document("Project", "p")
    wrong["metadata"]["labels"] = labels
    assert refused(site.apply(wrong))["param"].startswith("documents[0].metadata.labels")


def test_too_many_documents_are_refused(site, given):
    documents = [given.document("Project", f"p{n}") for n in range(501)]
    assert refused(site.apply(*documents))["param"] == "documents"


def test_an_unknown_kind_names_the_known_ones(site, given):
    assert "Deployment, Model" in refused(site.apply(given.document("Pod", "x")))["message"]
    answer = site.call("GET", "/resources/Pod")
    assert refused(answer, 404)["param"] == "kind"


def test_deleting_what_is_in_use_names_the_users(site, given):
    site.apply(given.MODEL, given.LOCAL, given.UPSTREAM, given.REMOTE)
    for kind, name, user in [("Model", "smol", "chat"), ("Upstream", "far", "remote")]:
        error = refused(site.call("DELETE", f"/resources/{kind}/{name}"), 409)
        assert user in error["message"]
    assert refused(site.call("DELETE", "/resources/Project/default"), 409)
    for kind, name in [("Deployment", "chat"), ("Deployment", "remote"), ("Model", "smol")]:
        assert site.call("DELETE", f"/resources/{kind}/{name}").json()["action"] == "delete"
    assert refused(site.call("DELETE", "/resources/Model/smol"), 404)


def test_a_project_whose_keys_are_revoked_can_be_deleted(site, given):
    site.apply(given.document("Project", "team"))
    key = site.key("infer", project="team")
    assert site.call("DELETE", "/resources/Project/team").status_code == 409
    site.call("DELETE", f"/keys/{key.split('-')[2]}")
    assert site.call("DELETE", "/resources/Project/team").status_code == 200


def test_a_model_change_that_breaks_a_deployment_is_a_conflict(site, given):
    site.apply(given.MODEL, given.document("Deployment", "chat", model="smol@1"))
    other = given.document("Model", "smol", versions=[{"name": "2", "source": "pypi:smol==2"}])
    error = refused(site.apply(other), 409)
    assert "'chat'" in error["message"]
    together = site.apply(other, given.document("Deployment", "chat", model="smol@2"))
    assert set(actions(together).values()) == {"update"}


def test_deploying_a_model_begins_to_obtain_it(site, given):
    site.apply(given.MODEL, given.LOCAL)
    assert [(model, version.name) for model, version in site.obtainer.started] == [("smol", "1")]
    site.apply(given.MODEL, given.LOCAL)
    assert len(site.obtainer.started) == 1


def test_a_credential_is_never_read_back(site, given):
    site.apply(given.UPSTREAM, given.REMOTE)
    site.join()
    shown = site.call("GET", "/resources/Upstream/far").json()
    assert shown["spec"]["credential"] == "***"
    for route in ("/resources/Upstream", "/snapshot", "/deployments", "/nodes", "/status"):
        assert "canary" not in site.call("GET", route).text
    stored = site.state.get("Upstream", "far")
    assert "canary" not in str(stored)
    assert (
        site.control.desk.resources.opened_specs()["Upstream", "far"].credential == "sk-canary-41"
    )


def test_a_credential_stays_when_it_is_not_given_and_goes_when_it_is_null(site, given):
    site.apply(given.UPSTREAM)

    def credential():
        return site.control.desk.resources.opened_specs()["Upstream", "far"].credential

    same = given.document("Upstream", "far", url="https://api.example/v1")
    assert actions(site.apply(same)) == {"Upstream/far": "unchanged"}
    same["spec"]["credential"] = "***"
    assert actions(site.apply(same)) == {"Upstream/far": "unchanged"}
    assert credential() == "sk-canary-41"
    same["spec"]["credential"] = "sk-other"
    [change] = site.apply(same).json()["changes"]
    assert change["fields"] == ["spec.credential"]
    assert credential() == "sk-other"
    same["spec"]["credential"] = None
    assert actions(site.apply(same)) == {"Upstream/far": "update"}
    assert credential() is None


def test_a_kept_credential_does_not_follow_to_another_place(site, given):
    site.apply(given.UPSTREAM)
    moved = given.document("Upstream", "far", url="https://evil.example/v1")
    assert refused(site.apply(moved))["param"] == "documents[0].spec.credential"
    moved["spec"]["credential"] = "***"
    assert refused(site.apply(moved))["param"] == "documents[0].spec.credential"
    moved["spec"]["credential"] = "sk-new"
    assert actions(site.apply(moved)) == {"Upstream/far": "update"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"slots": 0}, "documents[0].spec.slots: 0 is not within 1 to 4096"),
        ({"options": {"x": 1}}, "documents[0]: no option 'x'"),
    ],
)
def test_a_message_says_where_and_what_is_allowed(site, given, spec, message):
    answer = site.apply(given.document("Deployment", "d", engine="fake", model="m", **spec))
    assert refused(answer)["message"] == message


def test_the_failpoints_of_control_exist():
    assert {"records.applied", "stored.sent"} <= set(NAMES)


@pytest.mark.parametrize(
    ("cascade", "more", "param"),
    [
        ({"below": 1.5}, {}, "cascade.below"),
        ({}, {}, "cascade"),
        ({"then": "near", "below": 0.5}, {}, "cascade.then"),
        ({"answers": ["x" * 1025]}, {}, "cascade.answers"),
        ({"answers": ["x"] * 257}, {}, "cascade.answers"),
        ({"schema": {"pattern": "a+"}}, {}, "cascade.schema"),
        ({"below": 0.5}, {"deployments": ["near"]}, "cascade"),
        ({"below": 0.5, "schema": {"type": "object"}}, {"deployments": ["near", "far"]}, None),
    ],
)
def test_a_cascade_names_two_deployments_and_a_check_that_can_be_made(
    site, given, cascade, more, param
):
    for name in ("near", "far"):
        assert (
            site.apply(given.MODEL, given.document("Deployment", name, model="smol")).status_code
            == 200
        )
    spec = {"cascade": {"first": "near", "then": "far"} | cascade} | more
    answer = site.apply(given.document("Policy", "x", **spec))
    if param is None:
        assert answer.status_code == 200
    else:
        assert refused(answer)["param"] == f"documents[0].spec.{param}"

import io

import yaml

from littoral.domain.deployment import DeploymentSpec
from littoral.domain.resource import Change, Metadata, Resource
from littoral.domain.view import Changes

FILE = "kind: Deployment\nmetadata: {name: a}\nspec: {model: m, engine: fake}\n"
RESOURCE = Resource(
    kind="Deployment",
    metadata=Metadata(name="a"),
    spec=DeploymentSpec(model="m", engine="fake", serves="chat"),
    version=3,
    created_us=1_700_000_000_000_000,
    updated_us=1_700_000_000_000_000,
)


def change(action, *fields, kind="Deployment", name="a"):
    return Change(kind=kind, name=name, action=action, fields=fields)


def written(tmp_path, text=FILE):
    file = tmp_path / "site.yaml"
    file.write_text(text)
    return str(file)


def test_apply_shows_each_change(call, stand_in, tmp_path):
    changes = (change("update", "/spec/slots"), change("create", name="b"))
    stand_in.on("POST /api/v1/apply", Changes(changes=changes))
    said = call("apply", "-f", written(tmp_path))
    assert said.out.splitlines() == [
        "~ Deployment a  update  (/spec/slots)",
        "+ Deployment b  create",
    ]
    assert stand_in.bodies("POST /api/v1/apply")[0]["dry_run"] is False


def test_a_hyphen_means_standard_input(call, stand_in, monkeypatch):
    stand_in.on("POST /api/v1/apply", Changes(changes=(change("create"),)))
    stand_in.on("DELETE /api/v1/resources/Deployment/a", change("delete"))
    for words in (["apply", "-f", "-"], ["delete", "-f", "-", "--yes"]):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(FILE.encode())))
        said = call(*words)
        assert said.status == 0
    assert len(stand_in.calls) == 2


def test_an_unknown_field_is_told_with_its_path(call, stand_in, tmp_path):
    stand_in.refuse("POST /api/v1/apply", 400, "invalid_request", "unknown field /spec/slotz")
    assert call("apply", "-f", written(tmp_path)).err == "error: unknown field /spec/slotz\n"


def test_diff_ends_with_1_when_something_would_change(call, stand_in, tmp_path):
    stand_in.on(
        "POST /api/v1/apply",
        Changes(changes=(change("unchanged"),)),
        Changes(changes=(change("create"), change("unchanged", name="b"))),
    )
    same = call("diff", "-f", written(tmp_path))
    assert (same.status, same.out, same.err) == (0, "", "No changes.\n")
    differs = call("diff", "-f", written(tmp_path))
    assert (differs.status, differs.out) == (1, "+ Deployment a  create\n")
    assert all(body["dry_run"] for body in stand_in.bodies("POST /api/v1/apply"))


def test_get_shows_a_table_json_or_yaml_that_apply_takes(call, stand_in, tmp_path):
    stand_in.on("GET /api/v1/resources/Deployment", {"items": [RESOURCE]})
    stand_in.on("GET /api/v1/resources/Deployment/a", RESOURCE)
    assert "m on fake as chat" in call("get", "deployments").out
    assert call("get", "deployment", "a", "--json").json["spec"]["serves"] == "chat"
    assert call("get", "deployments", "-o", "json").json["resources"][0]["version"] == 3
    text = call("get", "Deployment", "a", "-o", "yaml").out
    assert yaml.safe_load(text)["metadata"]["name"] == "a"
    stand_in.on("POST /api/v1/apply", Changes(changes=(change("unchanged"),)))
    assert call("diff", "-f", written(tmp_path, text)).status == 0


def test_an_unknown_kind_lists_the_known_ones(call):
    said = call("get", "pods")
    assert said.status == 2
    assert "known: project, site, model, upstream, deployment" in said.err


def test_an_empty_kind_is_said_to_be_empty(call, stand_in):
    stand_in.on("GET /api/v1/resources/Upstream", {"items": []})
    assert call("get", "upstreams").err == "No Upstream resources.\n"


def test_deleting_a_file_s_resources_goes_from_users_to_used(call, stand_in, tmp_path):
    both = "kind: Model\nmetadata: {name: m}\n---\n" + FILE
    stand_in.on("DELETE /api/v1/resources/Deployment/a", change("delete"))
    said = call("delete", "-f", written(tmp_path, both), "--yes")
    assert said.err.splitlines() == ["Deleted Deployment a.", "There is no Model m."]
    assert [made for made, _ in stand_in.calls] == [
        "DELETE /api/v1/resources/Deployment/a",
        "DELETE /api/v1/resources/Model/m",
    ]


def test_deleting_one_that_is_not_there_is_an_error(call):
    assert call("delete", "deployment", "a", "--yes").status == 2


def test_deleting_needs_a_target_and_only_one(call, tmp_path):
    assert "say what to delete" in call("delete", "deployment").err
    assert "not both" in call("delete", "deployment", "-f", written(tmp_path)).err

"""First start, minting, revoking, and who a key is."""

import pytest

from littoral.control.site import first_start, load_site
from littoral.control.vault import Vault
from littoral.domain.errors import Damaged, StorageFull


def start_again(site, given, entropy=None) -> str | None:
    return first_start(
        site.state,
        Vault(given.MASTER, site.entropy),
        clock=site.clock,
        entropy=entropy or site.entropy,
        disk=site.disk,
        admin_file="admin.key",
    )


def test_the_first_start_makes_the_admin_key_once_and_writes_it_down_privately(site, given):
    assert site.disk.files["admin.key"].decode().strip() == site.admin
    assert site.disk.private["admin.key"]
    [key] = site.call("GET", "/keys").json()["items"]
    assert (key["name"], key["scopes"], key["project"]) == ("admin", ["admin", "infer"], "default")
    assert start_again(site, given) is None


def test_a_first_start_that_died_before_the_file_was_written_is_repeated(site):
    fresh = type(site)()
    fresh.disk.full = True
    with pytest.raises(StorageFull):
        fresh.start()
    fresh.disk.full = False
    fresh.start()
    assert fresh.disk.files["admin.key"].decode().strip() == fresh.admin
    keys = fresh.call("GET", "/keys").json()["items"]
    assert [key["revoked_us"] is None for key in keys].count(True) == 1
    assert fresh.call("GET", "/status").status_code == 200


def test_the_site_does_not_open_with_another_master_key(site):
    with pytest.raises(Damaged):
        load_site(site.state, Vault(bytes(32), site.entropy))


def test_a_state_without_a_first_start_is_refused(site, given):
    with pytest.raises(Damaged):
        load_site(type(site.state)(), Vault(given.MASTER, site.entropy))


def test_a_restart_keeps_keys_and_cluster(site):
    before = site.call("GET", "/status").json()["cluster"]
    site.start()
    assert site.call("GET", "/status").json()["cluster"] == before


def test_a_secret_is_shown_once_and_is_not_in_the_state(site):
    secret = site.key("infer")
    assert secret not in site.call("GET", "/keys").text
    middle = secret.split("-")[3]
    assert middle not in repr(vars(site.state))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "a b"}, None),
        ({"name": "k", "project": "nope"}, "project"),
        ({"name": "k", "scopes": []}, "scopes"),
        ({"name": "k", "scopes": ["root"]}, "scopes"),
        ({"name": "k", "models": []}, "models"),
        ({"name": "k", "models": [""]}, "models"),
        ({"name": "k", "limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
        ({"name": "k", "limits": {"concurrent": -1}}, "limits.concurrent"),
        ({"name": "k", "limits": {"tokens_per_minute": 0}}, "limits.tokens_per_minute"),
        ({"name": "k", "limits": {"budget": {"amount": 0}}}, "limits.budget.amount"),
        ({"name": "k", "tag": "No Tag"}, "tag"),
        ({"name": "k", "expires_in_days": 0}, "expires_in_days"),
        ({"name": "k", "expires_in_days": 1e9}, "expires_in_days"),
        ({"name": "k", "colour": "red"}, "colour"),
        ({}, None),
    ],
)
def test_a_wrong_key_request_is_refused(site, body, param):
    answer = site.call("POST", "/keys", json=body)
    assert answer.status_code == 400
    assert (answer.json()["error"]["param"] or "").startswith(param or "")
    assert len(site.state.keys()) == 1


def test_nobody_mints_a_key_that_may_do_more_than_his_own(site):
    minter = site.key("keys", "read")
    for scopes in (["admin"], ["write"], ["infer", "read"]):
        body = {"name": "k", "scopes": scopes}
        answer = site.call("POST", "/keys", key=minter, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "denied")
    answer = site.call("POST", "/keys", key=minter, json={"name": "k", "scopes": ["read"]})
    assert answer.status_code == 201


def test_expiry_counts_from_now(site):
    answer = site.call("POST", "/keys", json={"name": "k", "expires_in_days": 0.5})
    key = answer.json()["key"]
    assert key["expires_us"] - key["created_us"] == 43_200_000_000


def test_revoking_twice_changes_nothing_and_an_unknown_id_is_not_found(site):
    secret = site.key("read")
    key_id = secret.split("-")[2]
    first = site.call("DELETE", f"/keys/{key_id}").json()
    site.clock.advance(5)
    assert site.call("DELETE", f"/keys/{key_id}").json() == first
    assert site.call("GET", "/status", key=secret).status_code == 401
    assert site.call("DELETE", "/keys/zzzz").status_code == 404


def test_scopes_are_checked_again_at_each_use(site):
    secret = site.key("read")
    assert site.call("GET", "/status", key=secret).status_code == 200
    [key] = [key for key in site.state.keys() if key.id == secret.split("-")[2]]  # noqa: SIM118
    site.state.put_key(type(key)(**{n: getattr(key, n) for n in key.__slots__} | {"scopes": ()}))
    assert site.call("GET", "/status", key=secret).status_code == 403


def id_of(secret: str) -> str:
    return secret.split("-")[2]


def test_nobody_revokes_a_key_that_may_do_more_than_his_own(site):
    revoker = site.key("keys", "read")
    answer = site.call("DELETE", f"/keys/{id_of(site.admin)}", key=revoker)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "denied")
    assert site.call("GET", "/status").status_code == 200
    answer = site.call("DELETE", f"/keys/{id_of(site.key('read'))}", key=revoker)
    assert answer.status_code == 200


def test_a_key_is_given_another_tag_and_none_again(site):
    secret = site.call("POST", "/keys", json={"name": "k", "tag": "batch"}).json()
    path = f"/keys/{secret['key']['id']}"
    assert secret["key"]["tag"] == "batch"
    assert site.call("PATCH", path, json={"tag": "chat"}).json()["tag"] == "chat"
    tags = [key["tag"] for key in site.call("GET", "/keys").json()["items"]]
    assert sorted(tags) == ["", "chat"]
    assert site.call("PATCH", path, json={"tag": ""}).json()["tag"] == ""
    assert site.call("PATCH", path, json={"tag": "No Tag"}).json()["error"]["param"] == "tag"
    assert site.call("PATCH", "/keys/zzzz", json={"tag": "a"}).status_code == 404


def test_nobody_tags_a_key_that_may_do_more_than_his_own(site):
    tagger = site.key("keys")
    answer = site.call("PATCH", f"/keys/{id_of(site.admin)}", key=tagger, json={"tag": "a"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "denied")


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"tag": "a"}), ("DELETE", None)])
def test_nobody_but_an_administrator_reaches_the_keys_of_another_project(site, method, body):
    site.apply({"kind": "Project", "metadata": {"name": "other"}, "spec": {}})
    path = f"/keys/{id_of(site.key('read', project='other'))}"
    answer = site.call(method, path, key=site.key("keys", "read"), json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (403, "project")
    assert site.call(method, path, json=body).status_code == 200


def test_nobody_revokes_a_key_for_models_that_his_own_may_not_use(site):
    revoker = site.key("keys", "read", models=["tiny"])
    answer = site.call("DELETE", f"/keys/{id_of(site.key('read'))}", key=revoker)
    assert (answer.status_code, answer.json()["error"]["param"]) == (403, "models")


def test_the_last_key_that_administers_cannot_be_revoked(site):
    site.call("POST", "/keys", json={"name": "brief", "scopes": ["admin"], "expires_in_days": 1})
    site.clock.advance(2 * 86_400)
    answer = site.call("DELETE", f"/keys/{id_of(site.admin)}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    other = site.key("admin")
    assert site.call("DELETE", f"/keys/{id_of(site.admin)}").status_code == 200
    assert site.call("GET", "/status", key=other).status_code == 200


def test_a_start_where_no_key_administers_makes_one_and_leaves_the_others(site, given):
    named_so = site.call("POST", "/keys", json={"name": "admin", "scopes": ["read"]}).json()
    body = {"name": "brief", "scopes": ["admin"], "expires_in_days": 1}
    brief = site.call("POST", "/keys", json=body).json()["secret"]
    assert site.call("DELETE", f"/keys/{id_of(site.admin)}", key=brief).status_code == 200
    site.clock.advance(2 * 86_400)
    made = start_again(site, given)
    assert made is not None
    assert site.disk.files["admin.key"].decode().strip() == made
    assert site.call("GET", "/status", key=made).status_code == 200
    assert site.call("GET", "/status", key=named_so["secret"]).status_code == 200


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"models": ["*"]}, "models"),
        ({"models": ["b"]}, "models"),
        ({"project": "other"}, "project"),
    ],
)
def test_a_minted_key_reaches_no_model_or_project_beyond_its_creators(site, asked, param):
    site.apply({"kind": "Project", "metadata": {"name": "other"}, "spec": {"title": "Other"}})
    body = {"name": "k", "scopes": ["keys", "infer"], "models": ["a"]}
    minter = site.call("POST", "/keys", json=body).json()["secret"]
    answer = site.call("POST", "/keys", key=minter, json={"name": "c", "models": ["a"]} | asked)
    assert (answer.status_code, answer.json()["error"]["param"]) == (403, param)
    within = {"name": "d", "models": ["a"]}
    assert site.call("POST", "/keys", key=minter, json=within).status_code == 201

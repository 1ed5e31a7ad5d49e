import pytest

from littoral.app.command.keys import state
from littoral.domain.project import Key
from littoral.domain.view import MintedKey

TEXT = "lit-sk-text"
NOW = 1_800_000_000_000_000


def key(name, *, id_="ABCDEFGHIJ", **fields):
    made = {"project": "default", "scopes": ("infer",), "created_us": 1} | fields
    return Key(id=id_, name=name, **made)


def test_the_new_key_stands_alone_on_standard_output(call, stand_in):
    stand_in.on("POST /api/v1/keys", MintedKey(key=key("ci"), secret=TEXT))
    said = call(
        *[
            "keys",
            "create",
            "ci",
            "--models",
            "a,b",
            "--rpm",
            "60",
            "--tpm",
            "5000",
            "--concurrent",
            "2",
            "--budget",
            "20/day",
            "--expires",
            "30d",
            "--scope",
            "read,infer",
            "--survives",
            "--tag",
            "batch",
        ]
    )
    assert said.out == f"{TEXT}\n"
    assert "shown this once" in said.err
    assert stand_in.bodies("POST /api/v1/keys") == [
        {
            "name": "ci",
            "project": "default",
            "scopes": ["infer", "read"],
            "models": ["a", "b"],
            "limits": {
                "requests_per_minute": 60,
                "tokens_per_minute": 5000,
                "concurrent": 2,
                "budget": {"amount": 20.0, "period": "day"},
            },
            "expires_in_days": 30,
            "survives": True,
            "tag": "batch",
        }
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--scope", "infre"], "no scope 'infre'; known: infer, read, write, keys, admin"),
        (["--expires", "soon"], "--expires"),
        (["--rpm", "many"], "rpm"),
        (["--budget", "much"], "such as 20/month"),
        (["--budget", "20/week"], "total, hour, day, month"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_sent(call, stand_in, words, told):
    said = call("keys", "create", "ci", *words)
    assert said.status == 2
    assert told in said.err
    assert stand_in.calls == []


def test_the_list_shows_limits_and_state(call, stand_in):
    keys = [
        key("a", limits={"requests_per_minute": 60, "budget": {"amount": 2.5}}, tag="chat"),
        key("b", revoked_us=5, models=("m",)),
    ]
    stand_in.on("GET /api/v1/keys", {"items": keys})
    first, second = call("keys", "list").out.splitlines()[1:]
    assert first.split() == [
        "ABCDEFGHIJ",
        "a",
        "default",
        "infer",
        "*",
        "chat",
        "rpm=60,budget=2.5/month",
        "-",
        "good",
    ]
    assert second.endswith("revoked")


def test_a_key_is_good_until_it_ends():
    assert state(key("a", expires_us=NOW), now=NOW) == "expired"
    assert state(key("a", expires_us=NOW + 1), now=NOW) == "good"


def test_a_key_may_be_revoked_by_name(call, stand_in):
    keys = [key("a", id_="OLD", revoked_us=1), key("a", id_="NEW")]
    stand_in.on("GET /api/v1/keys", {"items": keys})
    stand_in.on("DELETE /api/v1/keys/NEW", keys[1])
    assert call("keys", "revoke", "a", "--yes").err == "Revoked a (NEW).\n"


def test_a_key_is_tagged_by_name_and_its_tag_taken_away(call, stand_in):
    stand_in.on("GET /api/v1/keys", {"items": [key("a", id_="K1")]})
    stand_in.on("PATCH /api/v1/keys/K1", key("a", id_="K1", tag="batch"))
    assert "a (K1) have the tag batch" in call("keys", "tag", "a", "batch").err
    assert "no tag of its own" in call("keys", "tag", "a").err
    assert stand_in.bodies("PATCH /api/v1/keys/K1") == [{"tag": "batch"}, {"tag": ""}]


def test_a_name_that_two_keys_have_is_not_enough(call, stand_in):
    keys = [key("a", id_="K1"), key("a", id_="K2")]
    stand_in.on("GET /api/v1/keys", {"items": keys})
    assert "name it by id: K1, K2" in call("keys", "revoke", "a", "--yes").err
    assert "no key 'z'" in call("keys", "revoke", "z", "--yes").err
    assert "--yes" in call("keys", "revoke", "K1").err

"""``littoral placement quality``: what people see of audits."""

from littoral.domain.audit import QualityView, TagView


def tag(name, **fields):
    given = {"audits": 30.2, "loss": 0.012, "error": 0.02, "share": 0.5, "allowed": True}
    return TagView(tag=name, **{**given, "off": False, **fields})


def view(**fields):
    given = {
        "policy": "labels",
        "candidate": "edge",
        "reference": "cloud",
        "judge": "test",
        "audits": 420,
        "decided": True,
        "budget": 0.02,
        "slack": 0.75,
        "loss": 0.0051,
        "error": 0.0042,
        "shares": (0.15, 0.05),
        "spent": 0.37,
        "tags": (tag("mail"), tag("code", loss=0.4, allowed=False), tag("chat", off=True)),
    }
    return QualityView(**{**given, **fields})


def test_each_policy_is_shown_with_its_guard_and_its_tags(stand_in, call):
    stand_in.on("GET /api/v1/quality", {"items": [view(), view(policy="new", decided=False)]})
    out = call("placement", "quality").out
    assert "labels: edge against cloud, judge test" in out
    assert "+0.0051 ± 0.0042 a request over the last audits, of 0.02 accepted" in out
    assert "plans with 75% of that; decided by audits" in out
    assert "now 15% of what edge serves, 5% of the other's" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["mail", "50.0%", "30", "+0.012", "0.020", "edge"] in rows
    assert ["code", "50.0%", "30", "+0.400", "0.020", "cloud"] in rows
    assert out.count("  by ratings") == 4
    assert "ratings, until there are 300 audits" in out


def test_without_an_audit_there_is_a_dash_and_without_a_policy_a_word(stand_in, call):
    stand_in.on("GET /api/v1/quality", {"items": [view(error=None, tags=())]})
    assert "loss        - a request" in call("placement", "quality").out
    stand_in.on("GET /api/v1/quality", {"items": []})
    assert "No policy has audits." in call("placement", "quality").err
    assert call("placement", "quality", "--json").json == {"policies": []}

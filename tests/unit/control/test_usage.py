"""The usage report and who may see how much of it."""

import pytest

from littoral.domain.ids import DeploymentName, NodeId, ProjectId, RequestId
from littoral.domain.units import DAY_US, Micros, Tokens
from littoral.testing.usage import usage_batch, usage_record

AT = Micros(1_800_000_000_000_000 // DAY_US * DAY_US)


@pytest.fixture
def booked(site):
    """Three requests: two of the default project on two days, one of another project."""
    cases = [("r1", "default", 0), ("r2", "default", DAY_US), ("r3", "team", 0)]
    records = [
        usage_record(
            request,
            request=RequestId(request),
            project=ProjectId(project),
            deployment=DeploymentName("chat"),
            model="smol",
            attempt=1,
            streamed=False,
            tokens_in=Tokens(3),
            tokens_out=Tokens(5),
            at_us=Micros(AT + later),
        )
        for request, project, later in cases
    ]
    site.ledger.apply(NodeId("nd_1"), "ob", usage_batch(records))
    return site


def requests(site, by_key=None, **params) -> list[int]:
    answer = site.call("GET", "/usage", key=by_key, params=params)
    assert answer.status_code == 200, answer.text
    return [row["requests"] for row in answer.json()["rows"]]


def test_sums_can_be_grouped_and_bounded(booked):
    assert requests(booked) == [3]
    assert requests(booked, by="project") == [2, 1]
    assert requests(booked, by="day,model") == [2, 1]
    assert requests(booked, since=str(AT + DAY_US)) == [1]
    assert requests(booked, until="2027-01-16") == [2]
    assert requests(booked, since="2027-01-16T00:00:00Z") == [1]
    assert requests(booked, project="team") == [1]
    assert requests(booked, key="other") == []


def test_a_key_without_read_sees_its_own_project_only(booked):
    key = booked.key("infer")
    assert requests(booked, by_key=key) == [2]
    assert requests(booked, by_key=key, project="default", by="project") == [2]
    answer = booked.call("GET", "/usage", key=key, params={"project": "team"})
    assert answer.status_code == 403
    assert booked.call("GET", "/requests/r1", key=key).status_code == 200
    assert booked.call("GET", "/requests/r3", key=key).status_code == 404
    assert booked.call("GET", "/requests/r3", key=booked.key("read")).status_code == 200


def test_one_request_is_found_by_its_id(booked):
    [record] = booked.call("GET", "/requests/r1").json()["records"]
    assert (record["request"], record["tokens_out"]) == ("r1", 5)
    assert booked.call("GET", "/requests/r9").status_code == 404


@pytest.mark.parametrize(
    ("params", "param"),
    [({"by": "colour"}, "by"), ({"since": "yesterday"}, "since"), ({"day": "1"}, "day")],
)
def test_a_wrong_question_names_its_parameter(booked, params, param):
    answer = booked.call("GET", "/usage", params=params)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_the_latest_requests_are_listed_as_far_as_a_key_may_see(booked):
    found = booked.call("GET", "/requests").json()["records"]
    assert [each["request"] for each in found] == ["r2", "r1", "r3"]
    own = booked.call("GET", "/requests", key=booked.key("infer")).json()["records"]
    assert {each["project"] for each in own} == {"default"}
    assert len(booked.call("GET", "/requests", params={"limit": 1}).json()["records"]) == 1


@pytest.mark.parametrize("limit", ["0", "20001", "many", "-1", "000001000999"])
def test_a_limit_out_of_bounds_is_refused(booked, limit):
    assert booked.call("GET", "/requests", params={"limit": limit}).status_code == 400

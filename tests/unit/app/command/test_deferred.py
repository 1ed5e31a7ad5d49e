import pytest

from littoral.domain.deferral import DeferralPage, DeferralView
from littoral.domain.ids import RequestId

VIEW = DeferralView(
    id="dfr_1",
    status="queued",
    reason="no endpoint of 'large' answers now",
    path="/v1/chat/completions",
    model="large",
    request_id=RequestId("req_1"),
    attempts=2,
    created_at=1_800_000_000,
    expires_at=1_800_086_400,
    ended_at=None,
    kept_until=1_800_345_600,
    result=None,
)


def test_what_waits_is_listed_page_by_page(call, stand_in):
    first = DeferralPage(data=(VIEW,), has_more=True, next=7)
    stand_in.on("GET /v1/deferred", first, DeferralPage(data=(VIEW,), has_more=False, next=None))
    lines = call("deferred", "list").out.splitlines()
    assert lines[0].split()[:3] == ["ID", "STATUS", "MODEL"]
    assert len(lines) == 3
    assert lines[1].endswith("no endpoint of 'large' answers now")


def test_without_any_it_says_how_a_request_waits(call, stand_in):
    stand_in.on("GET /v1/deferred", DeferralPage(data=(), has_more=False, next=None))
    assert "x-littoral-defer" in call("deferred", "list").err


def test_one_is_shown_with_its_reason(call, stand_in):
    stand_in.on("GET /v1/deferred/dfr_1", VIEW)
    said = call("deferred", "show", "dfr_1").out
    assert "req_1" in said
    assert "! no endpoint" in said


def test_its_answer_is_written_as_it_came(call, stand_in):
    stand_in.on("GET /v1/deferred/dfr_1/result", {"choices": []})
    assert '"choices"' in call("deferred", "result", "dfr_1").out


def test_one_is_cancelled(call, stand_in):
    stand_in.on("POST /v1/deferred/dfr_1/cancel", VIEW)
    assert "dfr_1" in call("deferred", "cancel", "dfr_1").err


@pytest.mark.parametrize("act", ["show", "result", "cancel"])
def test_a_refusal_is_told(call, act):
    assert call("deferred", act, "dfr_none").status == 2

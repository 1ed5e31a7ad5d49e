"""The typed client against the real app, in process."""

import anyio
import httpx2
import pytest

from littoral.client.admin import Admin
from littoral.domain.deployment import DeploymentSpec
from littoral.domain.errors import (
    Conflict,
    ControlUnreachable,
    Denied,
    InvalidInput,
    LittoralError,
    Unauthenticated,
    UnknownName,
)
from littoral.domain.ids import KeyId, NodeId
from littoral.domain.model import ModelSpec
from littoral.domain.node import Event
from littoral.domain.resource import Resource
from littoral.domain.units import Micros
from littoral.domain.view import KeyRequest, PullRequest


def in_process(app) -> httpx2.MockTransport:
    """Hands each request of a blocking client to an ASGI app."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        body = request.read()

        async def send() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport) as client:
                return await client.request(
                    request.method, request.url, headers=request.headers, content=body
                )

        got = anyio.run(send)
        return httpx2.Response(got.status_code, headers=got.headers, content=got.content)

    return httpx2.MockTransport(answer)


@pytest.fixture
def admin(site):
    with Admin("http://control/", site.admin, transport=in_process(site.control.app)) as client:
        yield client


def as_key(site, key: str) -> Admin:
    return Admin("http://control", key, transport=in_process(site.control.app))


def test_resources_come_back_as_records(admin, given):
    changes = admin.apply([given.MODEL, given.LOCAL], dry_run=True)
    assert [(change.kind, change.action) for change in changes] == [
        ("Model", "create"),
        ("Deployment", "create"),
    ]
    admin.apply([given.MODEL, given.LOCAL])
    [model] = admin.resources("Model")
    assert isinstance(model, Resource)
    assert isinstance(model.spec, ModelSpec)
    found = admin.resource("Deployment", "chat")
    assert found.spec == DeploymentSpec(model="smol", slots=2)
    assert (found.version, found.created_us > 0) == (1, True)
    assert admin.delete("Deployment", "chat").action == "delete"


def test_keys_are_minted_listed_and_revoked(admin, site):
    minted = admin.create_key(KeyRequest(name="laptop", scopes=("infer", "read")))
    assert minted.key in list(admin.keys())
    assert as_key(site, minted.secret).status().nodes == {}
    assert admin.revoke_key(minted.key.id).revoked_us is not None
    with pytest.raises(Unauthenticated, match="revoked"):
        as_key(site, minted.secret).status()


def test_models_deployments_and_nodes_come_back_as_records(admin, site, given):
    assert admin.catalogue()[0].name == "smol"
    assert admin.pull("smol", PullRequest()).phase == "pending"
    assert admin.model("smol").versions[0].spec.name == "1"
    assert [model.name for model in admin.models()] == ["smol"]
    assert admin.cancel_pull("smol").versions[0].status.phase == "failed"
    admin.apply([given.LOCAL])
    [deployment] = admin.deployments()
    assert (deployment.name, deployment.phase) == ("chat", "pending")
    site.join(endpoints=[given.endpoint("chat")])
    assert [node.id for node in admin.nodes()] == ["nd_1"]
    assert admin.node(NodeId("nd_1")).state == "connected"
    assert admin.status().deployments == {"ready": 1}
    assert admin.snapshot().assignments[0].name == "chat"
    admin.delete("Deployment", "chat")
    assert admin.remove_model("smol").action == "delete"


def test_usage_requests_and_events_come_back_as_records(admin, site):
    assert admin.usage(by=("key", "model"), since_us=0, until_us=1, project="default") == []
    with pytest.raises(UnknownName):
        admin.request("r1")
    site.parts.events.emit(Event(at_us=Micros(1), level="info", subject="s", code="c", message="m"))
    assert [item.event.code for item in admin.events()] == ["c"]
    assert admin.events(after=1) == []


def test_each_refusal_is_its_own_error(admin, site, given):
    with pytest.raises(UnknownName, match="known: none"):
        admin.resource("Model", "nope")
    with pytest.raises(InvalidInput) as wrong:
        admin.apply([given.document("Deployment", "d", model="smol", slots=0)])
    assert wrong.value.param == "documents[0].spec.slots"
    admin.apply([given.MODEL, given.LOCAL])
    with pytest.raises(Conflict, match="'chat'"):
        admin.remove_model("smol")
    with pytest.raises(Denied):
        as_key(site, site.key("infer")).models()
    with pytest.raises(Unauthenticated):
        as_key(site, "nonsense").keys()
    with pytest.raises(UnknownName):
        admin.revoke_key(KeyId("a/b"))


def test_our_own_failure_names_the_request(admin, site):
    def broken():
        raise RuntimeError("canary")

    site.obtainer.statuses = broken
    with pytest.raises(LittoralError, match="req_") as failed:
        admin.models()
    assert (type(failed.value), "canary" in str(failed.value)) == (LittoralError, False)


def answering(status: int, **more) -> Admin:
    transport = httpx2.MockTransport(lambda _request: httpx2.Response(status, **more))
    return Admin("http://control", "k", transport=transport)


def test_an_error_keeps_its_retry_time():
    body = {"error": {"message": "slow down", "code": "rate_limited", "param": None}}
    with pytest.raises(LittoralError) as limited:
        answering(429, json=body, headers={"retry-after": "7"}).keys()
    assert (limited.value.code, limited.value.retry_after_s) == ("rate_limited", 7.0)
    with pytest.raises(LittoralError) as odd:
        answering(429, json=body, headers={"retry-after": "Sun, 22 Nov"}).keys()
    assert odd.value.retry_after_s is None


@pytest.mark.parametrize("content", [b"<html>", b"{}", b"\xff"])
def test_an_error_that_is_not_ours_is_still_one(content):
    with pytest.raises(LittoralError, match="502"):
        answering(502, content=content).keys()


def test_an_answer_that_is_not_ours_is_control_unreachable():
    with pytest.raises(ControlUnreachable):
        answering(200, content=b"<html>").keys()


def test_nobody_there_is_control_unreachable():
    def nobody(request):
        raise httpx2.ConnectError("refused", request=request)

    with pytest.raises(ControlUnreachable, match="http://control"):
        Admin("http://control", "k", transport=httpx2.MockTransport(nobody)).status()

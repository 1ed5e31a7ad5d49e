"""What engine processes that serve HTTP themselves say to what they do not serve."""

import json
from collections.abc import Mapping

import pytest

from littoral.engines.child.host import Fault, Host, error_body, read
from littoral.engines.child.http import Call

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Heard:
    """A responder that keeps what it is given."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""

    async def send(
        self, status: int, body: bytes, *, headers: Mapping[str, str] | None = None
    ) -> None:
        del headers
        self.status, self.body = status, body


async def asked(method: str, target: str, *, key: str = "key") -> Heard:
    async def answer(_call, responder):
        await responder.send(200, b"{}")

    host = Host(alias="m", key="key", routes={("POST", "/v1/do"): answer})
    heard = Heard()
    headers = {"authorization": f"Bearer {key}"}
    await host.handle(Call(method=method, target=target, headers=headers), heard)
    return heard


@pytest.mark.parametrize(
    ("method", "target", "key", "status"),
    [
        ("GET", "/health", "wrong", 200),
        ("GET", "/v1/models", "key", 200),
        ("GET", "/v1/models", "wrong", 401),
        ("POST", "/v1/do?x=1", "key", 200),
        ("POST", "/v1/do", "wrong", 401),
        ("GET", "/v1/do", "key", 404),
        ("POST", "/v1/other", "key", 404),
    ],
)
async def test_only_health_is_open_and_only_routes_are_served(method, target, key, status):
    assert (await asked(method, target, key=key)).status == status


async def test_what_is_not_served_is_said_with_what_is():
    error = json.loads((await asked("POST", "/v1/other")).body)["error"]
    assert "known: /v1/do" in error["message"]
    assert error["code"] == "not_found"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"method": 1}', b"\xff", b'"\\ud800"'])
def test_a_body_of_another_shape_is_a_fault(body):
    with pytest.raises(Fault, match="cannot be read"):
        read(body, Call)


def test_a_fault_of_ours_is_no_fault_of_the_request():
    ours = json.loads(error_body(Fault("x", status=500)))["error"]
    theirs = json.loads(error_body(Fault("x", param="input")))["error"]
    assert (ours["type"], theirs["type"]) == ("api_error", "invalid_request_error")
    assert theirs["param"] == "input"

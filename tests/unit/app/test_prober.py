"""An engine on this machine is asked golden items over a real socket."""

import json

import anyio
import pytest

from littoral.app.prober import Prober
from littoral.app.system import SystemClock
from littoral.domain.endpoint import Address, Endpoint
from littoral.domain.errors import UpstreamFailed
from littoral.domain.ids import DeploymentName, EndpointId
from littoral.domain.rollout import GoldenItem, Utterance
from littoral.engines.child.http import serve

pytestmark = pytest.mark.anyio
ITEM = GoldenItem(prompt="2 + 2?", expect="4", max_tokens=7)
CHAT = {"choices": [{"message": {"role": "assistant", "content": "4"}}]}


@pytest.fixture
def anyio_backend():
    return "asyncio"


def endpoint(port: int, *capabilities) -> Endpoint:
    return Endpoint(
        id=EndpointId("chat@1"),
        deployment=DeploymentName("chat"),
        serves="chat",
        engine="fake",
        state="ready",
        address=Address(host="127.0.0.1", port=port),
        capabilities=capabilities,
    )


async def answered(item, body: bytes, *, status: int = 200, capabilities=("chat",)):
    asked: list[tuple[str, dict]] = []

    async def handler(call, responder) -> None:
        asked.append((call.target, json.loads(call.body)))
        await responder.send(status, body)

    async with anyio.create_task_group() as group:
        port = await group.start(serve, handler)
        try:
            text = await Prober(SystemClock()).answer(endpoint(port, *capabilities), item)
        finally:
            group.cancel_scope.cancel()
    return text, asked[0]


async def test_a_chat_is_asked_at_temperature_zero_and_its_text_returned():
    text, (path, body) = await answered(ITEM, json.dumps(CHAT).encode())
    assert text == "4"
    assert path.endswith("/chat/completions")
    assert body == {
        "model": "chat",
        "temperature": 0,
        "messages": [{"role": "user", "content": "2 + 2?"}],
        "max_tokens": 7,
        "stream": False,
    }


async def test_an_engine_without_chats_is_asked_one_text():
    turns = (Utterance(role="system", content="Be brief."), Utterance(content="2 + 2?"))
    item = GoldenItem(messages=turns, expect="4")
    body = json.dumps({"choices": [{"text": " 4"}]}).encode()
    text, (path, asked) = await answered(item, body, capabilities=("completions",))
    assert (text, asked["prompt"]) == (" 4", "Be brief.\n2 + 2?")
    assert path.endswith("/completions")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (200, b"no json"),
        (200, b'{"choices": [{"text": "\xff"}]}'),
        (200, b'{"choices": [], "x": ' + b"[" * 9999),
        (200, b'{"choices": []}'),
        (200, b" " * (1 << 20) + b"{}"),
    ],
)
async def test_what_is_no_answer_is_a_failure(status, body):
    with pytest.RaisesGroup(UpstreamFailed):
        await answered(ITEM, body, status=status)


async def test_an_engine_that_is_gone_is_a_failure():
    with pytest.raises(UpstreamFailed):
        await Prober(SystemClock()).answer(endpoint(1, "chat"), ITEM)

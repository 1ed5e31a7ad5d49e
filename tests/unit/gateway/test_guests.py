"""What a gateway does for other nodes, and what it does not; and what stays where it is."""

import json
from dataclasses import replace

import pytest

from crossing import VIA, Pair
from littoral.cost.predictor import unknown
from littoral.domain.ids import DeploymentName, EndpointId, KeyId, ProjectId
from littoral.domain.session import Data, Open, Reset
from littoral.domain.stream import MOST_STREAMS
from littoral.domain.traffic import TrafficGrant
from littoral.domain.units import Tokens
from littoral.gateway.refusal import Refusal
from littoral.placement.filters import CAPABILITIES


@pytest.fixture
def pair(make):
    return Pair(make(1), make(9))


STREAMED = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'


def test_a_guest_is_charged_to_no_limit_of_the_other_node(make, kit):
    pair = Pair(make(1), make(9, rate=1))
    for _ in range(3):
        _, transport, _engine = pair.ask()
        busy = [each for each in pair.b.loop.dialled if each.protocol.owner is not None]
        busy[-1].protocol.data_received(kit.answer(kit.said("yes")))
        pair.run()
        assert kit.status_of(transport) == 200


def test_a_guest_goes_to_its_deployment_only_and_never_to_a_third_node(pair, kit):
    third = pair.b.endpoint(
        3, id=EndpointId("third"), address=None, via=VIA, deployment=DeploymentName("m")
    )
    other = pair.b.endpoint(4, deployment=DeploymentName("other"))
    pair.b.endpoints(third, other)
    _, transport, _ = pair.ask()
    assert pair.b.loop.dialled == []
    assert [frame.code for frame in pair.of(Reset, "b")] == ["no_candidate"]
    assert kit.status_of(transport) == 502


def test_a_guest_is_expected_to_answer_as_long_as_others_of_its_name(pair):
    pair.b.worker.source.take_folds((replace(unknown(EndpointId("e9")), out_p50=Tokens(900)),))
    pair.ask()
    (inner,) = pair.b.worker.inners
    assert inner.exchange.expected() == (900, 0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "/v1/files"},
        {"path": "/api/v1/keys"},
        {"project": ProjectId("another")},
        {"key": KeyId("unknown")},
    ],
)
def test_a_call_that_is_not_of_the_closed_list_or_of_its_project_is_refused(pair, wrong):
    pair.ask()
    head = replace(pair.of(Open, "a")[0].head, **wrong)
    pair.guests.take(Open(stream=88, head=head))
    pair.guests.take(Data(stream=88, body=b"{}", fin=True))
    (_, reset) = pair.waiting[-1]
    assert (reset.stream, reset.code) == (88, "refused")


def test_more_bytes_than_announced_end_the_call(pair):
    pair.ask()
    head = replace(pair.of(Open, "a")[0].head, size=3)
    pair.guests.take(Open(stream=88, head=head))
    pair.guests.take(Data(stream=88, body=b"{} {"))
    (_, reset) = pair.waiting[-1]
    assert (reset.stream, reset.code) == (88, "too_large")


def test_a_revoked_key_ends_its_calls_at_the_other_node(pair):
    _, _, engine = pair.ask(STREAMED)
    (inner,) = pair.b.worker.inners
    assert inner.key.grant.id == pair.a.grant.id
    inner.cut(Refusal(503, "unavailable", "the API key was revoked"))
    pair.run()
    assert engine.closed
    assert [frame.code for frame in pair.of(Reset, "b")] == ["refused"]


def test_too_many_calls_count_as_a_node_without_room(pair, kit):
    for number in range(MOST_STREAMS):
        pair.a.worker.calls.begin(object(), number)
    pair.waiting.clear()
    _, transport, _ = pair.ask()
    assert kit.status_of(transport) == 502
    assert "too many calls" in kit.body_of(transport)["error"]["message"]


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
HI = [{"role": "user", "content": "hi"}]
ASKED = [
    ("/v1/chat/completions", {"messages": HI, "tools": [TOOL], "temperature": 0.5, "stream": True}),
    ("/v1/chat/completions", {"messages": HI, "max_tokens": 7, "n": 2, "seed": 3, "top_k": 4}),
    ("/v1/messages", {"messages": HI, "max_tokens": 9, "system": "be brief"}),
    ("/v1/responses", {"input": "hi", "stream": True}),
    ("/v1/completions", {"prompt": "hi", "echo": True}),
    ("/v1/embeddings", {"input": ["a", "b"], "dimensions": 8}),
    ("/v1/rerank", {"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1}),
    ("/v1/score", {"text_1": "a", "text_2": ["b", "c"]}),
    ("/v1/moderations", {"input": "x"}),
    ("/v1/audio/speech", {"input": "x", "voice": "alloy", "response_format": "pcm"}),
    ("/v1/tokenize", {"prompt": "x"}),
    ("/v1/detokenize", {"tokens": [1, 2]}),
    ("/v1/messages/count_tokens", {"messages": HI}),
]


@pytest.mark.parametrize(("path", "fields"), ASKED)
def test_the_other_nodes_engine_is_asked_exactly_what_an_own_one_would_be(make, path, fields):
    body = json.dumps({"model": "m", **fields}).encode()
    able = {"capabilities": CAPABILITIES, "deployment": DeploymentName("m")}
    own = make(1)
    own.endpoints(own.endpoint(1, **able))
    _, _, near = own.ask(own.post(body, path=path))
    pair = Pair(make(1), make(9))
    pair.a.endpoints(pair.remote(capabilities=CAPABILITIES))
    pair.b.endpoints(pair.b.endpoint(9, **able))
    _, _, far = pair.ask(body, path=path)
    assert asked_of(far.data) == asked_of(near.data)


def asked_of(raw):
    """The request line, and the body."""
    head, _, body = raw.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0], json.loads(body)


def test_a_resident_request_never_takes_a_way_that_leaves_its_place_however_cheap(pair, kit):
    own = pair.a.endpoint(1, price_in=900.0, price_out=900.0)
    free = {"price_in": 0.0, "price_out": 0.0}
    outside = pair.a.endpoint(2, remote=True, **free)
    pair.a.endpoints(own, outside, pair.remote(id=EndpointId("far"), **free))
    pair.a.share(residency="site")
    _, _, engine = pair.a.ask()
    assert engine.port == 1
    assert pair.of(Open) == []
    engine.protocol.data_received(kit.answer())
    pair.a.endpoints(outside, pair.remote(id=EndpointId("far"), **free))
    _, transport, _ = pair.a.ask()
    assert kit.status_of(transport) == 422
    assert "residency of its project" in kit.body_of(transport)["error"]["message"]


def test_a_way_within_the_residency_is_taken(pair):
    near = replace(VIA, path="peer", within=("any", "site"))
    pair.a.endpoints(pair.remote(via=near))
    pair.a.share(residency="site")
    assert pair.ask()[2] is not None


def test_the_other_node_keeps_a_resident_call_from_what_lies_outside(pair, kit):
    near = replace(VIA, path="peer", within=("any", "site"))
    pair.a.endpoints(pair.remote(via=near))
    pair.b.endpoints(pair.b.endpoint(9, deployment=DeploymentName("m"), remote=True))
    pair.a.share(residency="site")
    pair.b.worker.source.tables.keys[pair.a.grant.id].share(
        TrafficGrant(project=ProjectId("p"), residency="site")
    )
    _, transport, engine = pair.ask()
    assert engine is None
    assert kit.status_of(transport) == 400

"""Requests between two gateways: one admits, the other has the engine; frames in between."""

import json
from collections import deque
from dataclasses import replace

import pytest

from littoral.domain.ids import DeploymentName, EndpointId, KeyId, NodeId, ProjectId
from littoral.domain.session import Credit, Data, Open, Reset
from littoral.domain.stream import CHUNK, MOST_STREAMS, WINDOW, ReplyHead, Via
from littoral.domain.switch import Switch
from littoral.domain.traffic import TrafficGrant
from littoral.domain.units import Tokens
from littoral.gateway.refusal import Refusal
from littoral.gateway.wire.guest import Guests
from littoral.placement.filters import CAPABILITIES

VIA = Via(node=NodeId("nd_b"), endpoint=EndpointId("e9"), path="relay")


class Pair:
    """Gateway ``a`` knows the engine of gateway ``b``; a switch joins their streams."""

    def __init__(self, a, b):
        self.a, self.b = a, b
        self.switch = Switch()
        self.switch.join("a", first=2)
        self.switch.join("b", first=2)
        self.waiting = deque()
        self.passed = []
        self.guests = Guests(b.worker, lambda frame: self.waiting.append(("b", frame)))
        a.worker.calls.send = lambda frame: self.waiting.append(("a", frame))
        a.endpoints(self.remote())
        b.snapshot(replace(b.grant, id=a.grant.id, project=a.grant.project), serves=("m",))
        b.endpoints(b.endpoint(9, deployment=DeploymentName("m"), slots=1))

    def remote(self, **fields):
        given = {"deployment": DeploymentName("m"), "engine_model": "m", "via": VIA}
        return self.a.endpoint(9, address=None, remote=True, **(given | fields))

    def run(self):
        """Let both run until nothing moves."""
        while self.waiting or self.a.loop.soon or self.b.loop.soon:
            self.a.loop.run()
            self.b.loop.run()
            while self.waiting:
                self.pass_on(*self.waiting.popleft())

    def pass_on(self, port, frame):
        self.passed.append((port, frame))
        to = "b" if port == "a" else "a"
        if isinstance(frame, Open):
            out = self.switch.open(port, frame, to=to)
        else:
            out = self.switch.take(port, frame)
        for end, each in out:
            if end == "b":
                self.guests.take(each)
            else:
                self.a.worker.calls.take(each)

    def ask(self, body=None, **fields):
        """A request at ``a``: client, its transport, the engine's transport at ``b``."""
        client, transport = self.a.client()
        raw = self.a.post(body, **fields) if body is not None else self.a.post(**fields)
        client.data_received(raw)
        self.run()
        return client, transport, self.b.loop.dialled[-1] if self.b.loop.dialled else None

    def of(self, kind, port=None):
        return [f for p, f in self.passed if isinstance(f, kind) and port in {None, p}]


@pytest.fixture
def pair(make):
    return Pair(make(1), make(9))


STREAMED = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'


def test_a_streamed_chat_is_answered_by_the_other_nodes_engine(pair, kit):
    _, transport, engine = pair.ask(STREAMED)
    asked = engine.data.partition(b"\r\n\r\n")[2]
    assert json.loads(asked)["model"] == "inner"
    assert pair.a.key.encode() not in engine.data
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("he")))
    pair.run()
    head, payload, ended = kit.unchunked(transport.data)
    assert b"x-littoral-route: nd_b/e9; via=relay; " in head
    assert (payload, ended) == (kit.event("he"), False)
    engine.protocol.data_received(kit.chunk(kit.usage + kit.done) + b"0\r\n\r\n")
    pair.run()
    _, payload, ended = kit.unchunked(transport.data)
    assert (payload, ended) == (kit.event("he") + kit.done, True)
    (booked,) = pair.a.records()
    assert (booked.record.status, booked.record.tokens_in, booked.record.tokens_out) == ("ok", 7, 3)
    assert not booked.guest
    (guest,) = pair.b.records()
    assert guest.guest
    assert guest.record.request == booked.record.request
    assert pair.a.leaks() == pair.b.leaks() == (0, 0, 0)


def test_a_whole_answer_comes_back_with_what_it_cost(pair, kit):
    _, transport, engine = pair.ask()
    engine.protocol.data_received(kit.answer(kit.said("yes")))
    pair.run()
    assert kit.status_of(transport) == 200
    assert kit.body_of(transport)["choices"][0]["message"]["content"] == "yes"
    (booked,) = pair.a.records()
    assert (booked.record.endpoint, booked.record.tokens_out) == ("e9", 5)


def test_the_other_node_says_at_the_end_what_it_counted(pair, kit):
    _, _, engine = pair.ask()
    engine.protocol.data_received(kit.answer(kit.said("yes")))
    pair.run()
    last = pair.of(Data, "b")[-1]
    assert (last.fin, last.head) == (True, ReplyHead(status=200, tokens_in=7, tokens_out=5))


def test_counts_beside_a_stream_are_used_where_it_has_none(pair, kit):
    _, _, engine = pair.ask(STREAMED)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("he")))
    pair.run()
    stream = pair.of(Open, "a")[0].stream
    tail = ReplyHead(status=200, tokens_in=70, tokens_out=40)
    pair.a.worker.calls.take(Data(stream=stream, body=kit.done, fin=True, head=tail))
    (booked,) = pair.a.records()
    assert (booked.record.tokens_in, booked.record.tokens_out) == (70, 40)
    assert not booked.record.estimated


def test_a_client_that_leaves_frees_the_slot_of_the_other_nodes_engine(pair, kit):
    client, _, engine = pair.ask(STREAMED)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("he")))
    pair.run()
    client.connection_lost(None)
    pair.run()
    assert [frame.code for frame in pair.of(Reset, "a")] == ["cancelled"]
    assert engine.closed
    assert [each.record.status for each in pair.a.records()] == ["cancelled"]
    assert [each.record.tokens_out for each in pair.a.records()] == [1]
    assert pair.a.leaks() == pair.b.leaks() == (0, 0, 0)


def test_a_client_that_leaves_while_the_call_waits_for_a_slot_frees_its_place(pair):
    pair.ask(STREAMED)
    pair.ask(STREAMED)
    client, _, _ = pair.ask(STREAMED)
    assert pair.b.worker.counters["queued"] == 1
    client.connection_lost(None)
    pair.run()
    model = pair.b.worker.source.tables.models["m"]
    assert model.queue.count == 0


def test_what_is_left_of_the_deadline_goes_along_and_ends_the_call_there(pair, kit):
    _, transport, engine = pair.ask(STREAMED, extra="X-Littoral-Deadline-Ms: 2000\r\n")
    assert pair.of(Open, "a")[0].head.deadline_ms == 2000
    pair.b.clock.advance(2.5)
    for _ in range(20):
        pair.b.worker.tick()
    pair.run()
    assert engine.closed
    assert [frame.code for frame in pair.of(Reset, "b")] == ["deadline"]
    assert kit.status_of(transport) == 502


def test_a_long_body_goes_only_as_far_as_the_other_node_allows(pair):
    text = "x" * (3 * WINDOW)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
    pair.b.endpoints(pair.b.endpoint(9, deployment=DeploymentName("m"), context=Tokens(10**6)))
    pair.a.endpoints(pair.remote(context=Tokens(10**6)))
    _, _, engine = pair.ask(body)
    assert text.encode() in engine.data
    ahead, allowed = 0, WINDOW
    for port, frame in pair.passed:
        if port == "a" and isinstance(frame, Data):
            ahead += len(frame.body)
            assert ahead <= allowed
            assert len(frame.body) <= CHUNK
        elif port == "b" and isinstance(frame, Credit):
            allowed = frame.upto
    assert len(pair.of(Credit, "b")) > 2


def test_a_slow_client_holds_back_the_engine_of_the_other_node(pair, kit):
    client, transport, engine = pair.ask(STREAMED)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("he")))
    pair.run()
    client.pause_writing()
    long = kit.event("y" * 1000)
    for _ in range(600):
        engine.protocol.data_received(kit.chunk(long))
        pair.run()
    assert engine.paused
    sent = sum(len(frame.body) for frame in pair.of(Data, "b"))
    assert sent <= WINDOW
    client.resume_writing()
    pair.run()
    assert not engine.paused
    engine.protocol.data_received(kit.chunk(kit.usage + kit.done) + b"0\r\n\r\n")
    pair.run()
    _, payload, ended = kit.unchunked(transport.data)
    assert ended
    assert payload == kit.event("he") + 600 * long + kit.done


def test_a_node_without_room_counts_as_busy_and_the_request_goes_elsewhere(pair, kit):
    pair.a.endpoints(pair.remote(id=EndpointId("far")), pair.a.endpoint(1, price_in=9.0))
    _, transport, _ = pair.ask(STREAMED)
    stream = pair.of(Open, "a")[0].stream
    refused = Reset(stream=stream, code="refused", retryable=True, message="no room")
    pair.a.worker.calls.take(refused)
    pair.run()
    own = pair.a.loop.dialled[-1]
    own.protocol.data_received(kit.stream_head + kit.chunk(kit.event("ok") + kit.done))
    assert kit.status_of(transport) == 200
    assert not pair.a.worker.source.tables.models["m"].places[1].ejected


def test_a_refusal_says_why_where_no_other_place_is_left(pair, kit):
    _, transport, _ = pair.ask(STREAMED)
    stream = pair.of(Open, "a")[0].stream
    pair.a.worker.calls.take(
        Reset(stream=stream, code="refused", retryable=True, message="no room")
    )
    assert kit.status_of(transport) == 502
    assert "no room" in kit.body_of(transport)["error"]["message"]


def test_a_way_that_is_lost_in_the_middle_ends_the_stream_with_an_error_and_books_it(pair, kit):
    _, transport, engine = pair.ask(STREAMED)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("he")))
    pair.run()
    for port, frame in pair.switch.leave("b"):
        assert port == "a"
        pair.a.worker.calls.take(frame)
    _, payload, ended = kit.unchunked(transport.data)
    assert b'"error"' in payload
    assert not ended
    assert transport.closed
    (booked,) = pair.a.records()
    assert (booked.record.status, booked.record.tokens_out) == ("failed", 1)
    assert pair.a.leaks() == (0, 0, 0)


def test_a_way_that_is_lost_before_the_first_byte_lets_another_place_answer(pair, kit):
    pair.a.endpoints(pair.remote(id=EndpointId("far")), pair.a.endpoint(1, price_in=9.0))
    _, transport, _ = pair.ask(STREAMED)
    for _, frame in pair.switch.leave("b"):
        pair.a.worker.calls.take(frame)
    pair.run()
    own = pair.a.loop.dialled[-1]
    own.protocol.data_received(kit.stream_head + kit.chunk(kit.event("ok") + kit.done))
    assert kit.status_of(transport) == 200


def test_a_long_request_is_not_sent_again_after_another_node_failed(pair, kit):
    wide = {"context": Tokens(10**7)}
    pair.a.endpoints(
        pair.remote(id=EndpointId("far"), **wide), pair.a.endpoint(1, price_in=9, **wide)
    )
    pair.b.endpoints(pair.b.endpoint(9, deployment=DeploymentName("m"), **wide))
    text = "x" * (1024 * 1024)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
    _, transport, _ = pair.ask(body)
    for _, frame in pair.switch.leave("b"):
        pair.a.worker.calls.take(frame)
    pair.run()
    assert kit.status_of(transport) == 502
    assert pair.a.loop.dialled == []


def test_an_engine_that_breaks_there_ends_the_stream_here_with_its_error(pair, kit):
    _, transport, engine = pair.ask(STREAMED)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("he")))
    pair.run()
    engine.protocol.connection_lost(None)
    pair.run()
    _, payload, ended = kit.unchunked(transport.data)
    assert payload.count(b'"error"') == 1
    assert not ended
    assert [each.record.status for each in pair.a.records()] == ["failed"]


def test_an_engine_that_refuses_the_request_there_is_a_400_here(pair, kit):
    _, transport, engine = pair.ask()
    reply = b'{"error":{"message":"too hot"}}'
    engine.protocol.data_received(kit.answer(reply, status="400 Bad Request"))
    pair.run()
    assert kit.status_of(transport) == 400
    assert "too hot" in kit.body_of(transport)["error"]["message"]


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

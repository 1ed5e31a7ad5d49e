"""The semantic cache, as a client meets it: an embedding first, then an answer or an engine."""

import json

import pytest

from littoral.domain.deployment import Assignment
from littoral.domain.ids import DeploymentName, NodeId, ProjectId
from littoral.domain.snapshot import Snapshot
from littoral.domain.traffic import CachePolicy, SemanticPolicy, TrafficGrant
from littoral.domain.units import Micros
from littoral.gateway.question import question_of
from littoral.gateway.request import read_chat
from littoral.gateway.wire.meaning import embed

VECTORS = {"how high": [1.0, 0.0], "how tall": [0.99, 0.05], "what colour": [0.0, 1.0]}


def body(text, **fields):
    given = {"model": "m", "messages": [{"role": "user", "content": text}], "temperature": 0}
    return json.dumps(given | fields).encode()


class Asking:
    """A rig with a chat endpoint (1) and one for embeddings (2)."""

    def __init__(self, rig, kit):
        self.rig, self.kit = rig, kit
        rig.worker.embed = embed
        rig.endpoints(
            rig.endpoint(1),
            rig.endpoint(2, serves="e", deployment="e", capabilities=("embeddings",)),
        )
        assignments = tuple(
            Assignment(name=DeploymentName(n), revision=1, serves=n, engine="fake", model=n)
            for n in "me"
        )
        cache = CachePolicy(semantic=SemanticPolicy(model="e", threshold=0.95))
        rig.worker.source.take_snapshot(
            Snapshot(
                epoch=1, version=2, issued_us=Micros(1), node=NodeId("nd"), pepper=b"p" * 32,
                keys=(rig.grant,), assignments=assignments,
                traffic=(TrafficGrant(project=ProjectId("p"), cache=cache),),
            ),
            {},
        )  # fmt: skip

    def busy(self, port):
        """The transport of an endpoint with a request under way."""
        found = [
            t for t in self.rig.loop.dialled
            if t.port == port and not t.closed and t.protocol.owner is not None
        ]  # fmt: skip
        return found[-1] if found else None

    def embedding(self, vector):
        self.busy(2).protocol.data_received(
            self.kit.answer(
                json.dumps(
                    {
                        "object": "list",
                        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
                        "usage": {"prompt_tokens": 2, "total_tokens": 2},
                    }
                ).encode()
            )
        )
        self.rig.loop.run()

    def ask(self, text, *, reply=None, **fields):
        """A client's answer, and whether the chat engine was asked."""
        client, transport, _ = self.rig.ask(self.rig.post(body(text, **fields)))
        if self.busy(2) is not None:
            self.embedding(VECTORS[text])
        engine = self.busy(1)
        if engine is not None:
            engine.protocol.data_received(reply or self.kit.answer())
            self.rig.loop.run()
        self.rig.book()
        del client
        return transport.data, engine is not None


@pytest.fixture
def asking(rig, kit):
    return Asking(rig, kit)


def test_a_question_that_means_the_same_gets_the_same_answer(asking):
    first, asked = asking.ask("how high")
    assert asked
    assert b"x-littoral-cache: miss" in first
    again, asked = asking.ask("how tall")
    assert not asked
    assert b"x-littoral-cache: hit" in again
    assert again.partition(b"\r\n\r\n")[2] == first.partition(b"\r\n\r\n")[2]
    assert asking.ask("what colour")[1]
    assert asking.rig.leaks() == (0, 0, 0)


def test_the_same_words_need_no_embedding(asking):
    asking.ask("how high")
    _, transport, _ = asking.rig.ask(asking.rig.post(body("how high")))
    assert asking.busy(2) is None
    assert b"x-littoral-cache: hit" in transport.data


def test_what_is_asked_at_another_path_is_another_question(asking, kit):
    chat = {"model": "m", "stream": False, "options": {"temperature": 0}}
    chat |= {"messages": [{"role": "user", "content": "how high"}]}
    written = {"model": "m", "stream": False, "options": {"temperature": 0}, "prompt": "how tall"}
    for path, given in (("/api/chat", chat), ("/api/generate", written)):
        raw = asking.rig.post(json.dumps(given).encode(), path=path)
        _, transport, _ = asking.rig.ask(raw)
        asking.embedding(VECTORS["how high"])
        asking.busy(1).protocol.data_received(kit.answer(kit.said("8848 m")))
        asking.rig.loop.run()
        assert b"200 OK" in transport.data
        asking.rig.book()
    assert kit.body_of(transport)["response"] == "8848 m"


def test_other_parameters_are_another_question(asking):
    asking.ask("how high")
    assert asking.ask("how tall", max_tokens=3)[1]


def test_without_an_embedding_the_engine_is_asked(asking, kit):
    for data, status in ((b"{}", "500 Broken"), (b"no json", "200 OK"), (b'{"data":[]}', "200 OK")):
        _, transport, _ = asking.rig.ask(asking.rig.post(body("how high")))
        asking.busy(2).protocol.data_received(kit.answer(data, status=status))
        asking.rig.loop.run()
        asking.busy(1).protocol.data_received(kit.answer(status="400 Bad"))
        assert b" 400 " in transport.data
        asking.rig.book()


def test_a_missing_embedding_model_does_not_stop_a_question(asking):
    asking.rig.endpoints(asking.rig.endpoint(1))
    data, asked = asking.ask("how high")
    assert asked
    assert b"200 OK" in data


def test_a_client_that_leaves_stops_the_search(asking):
    client, _, _ = asking.rig.ask(asking.rig.post(body("how high")))
    engine = asking.busy(2)
    client.connection_lost(None)
    assert engine.closed
    assert asking.busy(1) is None
    assert asking.rig.leaks() == (0, 0, 0)


def test_a_fault_in_the_search_is_that_requests_alone(asking):
    _, transport, _ = asking.rig.ask(asking.rig.post(body("how high")))
    asking.rig.worker.memory.neighbours = None
    asking.embedding([1.0, 0.0])
    assert b" 500 " in transport.data


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": "x" * 9000}],
    ],
)
def test_only_a_short_text_of_the_users_at_the_end_is_a_question(messages):
    asked = read_chat(json.dumps({"model": "m", "messages": messages}).encode())
    assert question_of(asked.body) is None


def test_a_question_leaves_the_request_as_it_was():
    asked = read_chat(body("how high"))
    question = question_of(asked.body)
    assert question.text == "how high"
    assert b"how high" not in question.rest
    assert question_of(asked.body) == question

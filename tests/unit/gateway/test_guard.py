"""Guards of projects: caps, tools, strictness, and what is taken out before it leaves."""

import asyncio
import json
import socket
import threading

import pytest

from littoral.domain.endpoint import Address
from littoral.domain.guard import PERSONAL, Guard
from littoral.domain.ids import EndpointId
from littoral.domain.traffic import TrafficGrant
from littoral.gateway import guard
from littoral.gateway.guard import Unsearchable
from littoral.gateway.request import read_chat
from littoral.gateway.wire.screener import GONE, MOST, STUCK_S, Screener

TEXT = "write to a@example.com"
CHAT = {"model": "m", "messages": [{"role": "user", "content": TEXT}]}
ALL = guard.mask_of(PERSONAL)


def asked(**change):
    return read_chat(json.dumps(CHAT | change).encode())


def tool(name):
    return {"type": "function", "function": {"name": name}}


def test_a_guard_without_rules_lets_everything_pass():
    assert guard.screen(Guard(), asked(odd=1, tools=[tool("f")]), 10**9) is None


def test_a_strict_project_refuses_unknown_fields_by_name():
    refusal = guard.screen(Guard(strict=True), asked(odd=1), 1)
    assert (refusal.status, refusal.param) == (400, "odd")
    assert guard.screen(Guard(strict=True), asked(), 1) is None


def test_input_over_the_projects_cap_is_denied():
    rules = Guard(max_input_tokens=10)
    assert guard.screen(rules, asked(), 10) is None
    assert guard.screen(rules, asked(), 11).status == 403


@pytest.mark.parametrize(("wish", "cap"), [(None, 50), (20, 20), (80, 50)])
def test_output_is_capped_not_refused(wish, cap):
    request = asked(max_tokens=wish)
    assert guard.screen(Guard(max_output_tokens=50), request, 1) is None
    assert request.cap == cap


def test_only_tools_that_are_listed_may_be_offered():
    rules = Guard(tools=("search", "read_*"))
    assert guard.screen(rules, asked(tools=[tool("search"), tool("read_file")]), 1) is None
    refusal = guard.screen(rules, asked(tools=[tool("search"), tool("delete")]), 1)
    assert (refusal.status, refusal.param) == (403, "tools[1]")
    assert "'delete'" in refusal.message
    for odd in ("x", {"type": "mcp"}, {"function": 3}):
        assert guard.screen(rules, asked(tools=[odd]), 1).status == 403


def clean(body, mask=ALL):
    return json.loads(guard.redacted(json.dumps(body).encode(), mask))


def test_texts_are_searched_wherever_they_stand_and_names_are_kept():
    body = {
        "model": "a@example.com",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": TEXT}]},
            {
                "role": "assistant",
                "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": TEXT}}],
            },
        ],
    }
    text = json.dumps(clean(body))
    assert text.count("[EMAIL]") == 2
    assert clean(body)["model"] == "a@example.com"
    assert clean({"input": [TEXT], "documents": [TEXT]}) == {
        "input": ["write to [EMAIL]"],
        "documents": ["write to [EMAIL]"],
    }
    escaped = b'{"prompt":"a\\u0040example.com"}'
    assert guard.redacted(escaped, ALL) == b'{"prompt":"[EMAIL]"}'
    assert clean({"prompt": TEXT}, guard.mask_of(("phone",))) == {"prompt": TEXT}


@pytest.mark.parametrize(
    "data",
    [
        b'{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}',
        b'{"messages":[{"content":[{"type":"input_audio","input_audio":{"data":"x"}}]}]}',
        b'{"input":[1,2]}',
        b'{"prompt":[[1,2]]}',
        b"--x\r\na form",
        b"[1]",
    ],
)
def test_what_cannot_be_searched_is_said(data):
    with pytest.raises(Unsearchable):
        guard.redacted(data, ALL)


class Helper:
    """Plays the screener: keeps what it is asked, answers when told."""

    def __init__(self, *, takes=True):
        self.takes, self.asked = takes, []

    def ask(self, data, mask, hearer):
        if self.takes:
            self.asked.append((data, mask, hearer))
        return self.takes


def guarded(make, *, local=False, rules=None, helper=None, text=TEXT, **body):
    rig = make()
    rig.share(guard=rules or Guard(redact=("email",)))
    far = {"id": EndpointId("far"), "address": Address(host="127.0.0.1", port=1), "price_in": 0.1}
    places = [rig.endpoint(1, remote=True, **far)]
    if local:
        places.append(rig.endpoint(2, price_in=9.0))
    rig.endpoints(*places)
    if helper is not None:
        rig.worker.screener = helper
    messages = [{"role": "user", "content": text}]
    raw = rig.post(json.dumps(CHAT | {"messages": messages} | body).encode())
    return rig, *rig.ask(raw)


LONG = TEXT + " and more" * 200


def test_a_short_text_is_redacted_on_its_way_out(make, kit):
    rig, _, transport, engine = guarded(make)
    assert b"write to [EMAIL]" in engine.data
    head, _, body = engine.data.partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head
    engine.protocol.data_received(kit.answer())
    assert transport.data.startswith(b"HTTP/1.1 200")
    assert rig.leaks() == (0, 0, 0)


def test_what_stays_here_stays_as_it_is(make):
    rig = make(1)
    rig.share(guard=Guard(redact=PERSONAL))
    _, _, engine = rig.ask(rig.post(json.dumps(CHAT).encode()))
    assert TEXT.encode() in engine.data


def test_a_long_text_is_redacted_elsewhere(make, kit):
    helper = Helper()
    rig, _, transport, engine = guarded(make, helper=helper, text=LONG)
    assert engine is None
    ((data, mask, hearer),) = helper.asked
    hearer(guard.redacted(data, mask))
    rig.loop.run()
    engine = rig.loop.dialled[-1]
    assert b"[EMAIL]" in engine.data
    assert b"a@example.com" not in engine.data
    engine.protocol.data_received(kit.answer())
    assert transport.data.startswith(b"HTTP/1.1 200")
    assert rig.leaks() == (0, 0, 0)


@pytest.mark.parametrize("late", [False, True])
def test_without_the_process_nothing_leaves(make, late):
    helper = Helper(takes=late)
    rig, _, transport, engine = guarded(make, helper=helper, text=LONG)
    if late:
        helper.asked[0][2](GONE)
    assert engine is None
    assert transport.data.startswith(b"HTTP/1.1 503")
    assert rig.leaks() == (0, 0, 0)


def test_without_the_process_a_place_here_answers(make, kit):
    rig, _, transport, engine = guarded(make, helper=Helper(takes=False), text=LONG, local=True)
    assert engine.port == 2
    assert b"a@example.com" in engine.data
    engine.protocol.data_received(kit.answer())
    assert transport.data.startswith(b"HTTP/1.1 200")
    assert rig.leaks() == (0, 0, 0)


def test_an_image_does_not_leave(make):
    parts = [{"type": "image_url", "image_url": {"url": "data:,"}}]
    rig, _, transport, engine = guarded(make, text=parts)
    assert engine is None
    assert transport.data.startswith(b"HTTP/1.1 403")
    assert b"image_url" in transport.data
    assert rig.leaks() == (0, 0, 0)


def test_a_client_that_leaves_meanwhile_is_asked_for_no_more(make):
    helper = Helper()
    rig, client, _, _ = guarded(make, helper=helper, text=LONG)
    client.connection_lost(None)
    helper.asked[0][2](b"{}")
    rig.loop.run()
    assert not rig.loop.dialled
    assert rig.leaks() == (0, 0, 0)


def test_a_guard_refuses_before_anything_is_counted(make):
    rig, _, transport, engine = guarded(make, rules=Guard(max_input_tokens=1))
    assert engine is None
    assert transport.data.startswith(b"HTTP/1.1 403")
    assert rig.leaks() == (0, 0, 0)


@pytest.fixture
def loop():
    made = asyncio.new_event_loop()
    yield made
    made.close()


class Far:
    """The other end of a screener's socket: redacts, or is silent, or leaves."""

    def __init__(self, *, answers=True):
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)  # noqa: FBT003  its only argument
        self.answers = answers
        self.spawned = 0
        self.threads = []

    def spawn(self):
        self.spawned += 1
        if self.answers:
            thread = threading.Thread(target=self.serve)
            self.threads.append(thread)
            thread.start()
        return self.ours

    def serve(self):
        from littoral.app.role import screen  # noqa: PLC0415  what runs in the process

        screen.serve(self.theirs)

    def close(self, loop):
        """Leave, and let the other side see it."""
        self.theirs.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(10)
        self.theirs.close()
        while self.ours.fileno() >= 0:
            loop.run_until_complete(asyncio.sleep(0))


def settled(loop, heard, count):
    """Turn the loop until so much was heard; the test's own time limit bounds it."""
    while len(heard) < count:
        loop.run_until_complete(asyncio.sleep(0))


def test_bodies_come_back_in_order_and_the_unsearchable_say_why(loop):
    far, heard = Far(), []
    screener = Screener(loop, lambda: 0.0)
    screener.spawn = far.spawn
    assert screener.ask(b'{"prompt":"a@example.com"}', ALL, heard.append)
    assert screener.ask(b'{"input":[1]}', ALL, heard.append)
    settled(loop, heard, 2)
    assert heard[0] == b'{"prompt":"[EMAIL]"}'
    assert "ids of tokens" in heard[1]
    assert screener.ask(b'{"prompt":"%b"}' % (b"x" * 200_000), ALL, heard.append)
    settled(loop, heard, 3)
    assert len(heard[2]) == 200_013
    assert far.spawned == 1
    far.close(loop)
    assert not screener.ask(b"{}", ALL, heard.append)


def test_the_queue_is_bounded_and_a_stuck_process_is_given_up(loop):
    far, heard, now = Far(answers=False), [], [0.0]
    screener = Screener(loop, lambda: now[0])
    assert not screener.ask(b"{}", ALL, heard.append)
    screener.spawn = far.spawn
    assert all(screener.ask(b"{}", ALL, heard.append) for _ in range(MOST))
    assert not screener.ask(b"{}", ALL, heard.append)
    loop.run_until_complete(asyncio.sleep(0))
    now[0] = STUCK_S + 1
    screener.spawn = None
    assert not screener.ask(b"{}", ALL, heard.append)
    assert heard == [GONE] * MOST
    far.close(loop)


def test_a_process_that_cannot_be_started_is_tried_again_later(loop):
    now, tries = [10.0], []

    def spawn():
        tries.append(now[0])
        raise OSError

    screener = Screener(loop, lambda: now[0])
    screener.spawn = spawn
    for _ in range(3):
        assert not screener.ask(b"{}", ALL, tries.append)
    now[0] = 12.0
    assert not screener.ask(b"{}", ALL, tries.append)
    assert tries == [10.0, 12.0]


def test_a_project_without_a_guard_costs_its_keys_nothing():
    assert TrafficGrant(project="p").guard == Guard()


def test_every_field_is_searched_but_the_name_of_the_model():
    assert clean({"chat_template_kwargs": {"who": TEXT}, "reasoning_effort": TEXT}) == {
        "chat_template_kwargs": {"who": "write to [EMAIL]"},
        "reasoning_effort": "write to [EMAIL]",
    }
    assert clean({"content": TEXT, "logit_bias": {"1": 2.0}}) == {
        "content": "write to [EMAIL]",
        "logit_bias": {"1": 2.0},
    }


@pytest.mark.parametrize(
    ("field", "plain", "personal"),
    [
        ("stop", ["###"], ["###", "a@example.com"]),
        ("grammar", 'root ::= "x"', 'root ::= "a@example.com"'),
        ("tool_choice", "auto", {"function": {"name": "a@example.com"}}),
    ],
)
def test_what_means_something_else_with_a_part_replaced_does_not_leave(field, plain, personal):
    assert clean({field: plain}) == {field: plain}
    with pytest.raises(Unsearchable, match=f"its {field} has personal data"):
        clean({field: personal})


def test_ids_of_tokens_do_not_leave_whatever_they_are_for():
    with pytest.raises(Unsearchable, match="ids of tokens"):
        clean({"tokens": [1, 2]})

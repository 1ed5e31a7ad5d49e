"""Output: what an engine says, thinks and calls, as items that open, grow and close."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from littoral.gateway.dialect.responses.events import Events, Spot
from littoral.gateway.dialect.responses.resource import (
    ENCODE,
    CallOut,
    CustomCallOut,
    ItemOut,
    MessageOut,
    ReasoningOut,
    RefusalOut,
    TextOut,
    Thought,
)
from littoral.gateway.dialect.responses.tools import Target, free_text
from littoral.gateway.said import Logprob

TEXT: Final = "output_text"
REFUSAL: Final = "refusal"
THOUGHT: Final = "reasoning_text"
SUMMARY: Final = "reasoning_summary_text"
_PREFIX: Final = {TEXT: "msg", REFUSAL: "msg", THOUGHT: "rs", SUMMARY: "rs"}


class _Growing(Struct):
    """A text under way."""

    kind: str
    spot: Spot
    pieces: list[str]
    logprobs: list[Logprob]


class _Call(Struct):
    """A call under way."""

    call_id: str
    target: Target
    spot: Spot
    pieces: list[str]


class Output:
    """The output of one response. Every method returns the events of what it did.

    At most one text grows at a time; calls may grow side by side and close together at the end,
    since engines may send their fragments in turns.

    Args:
        name: What the ids of items contain.
        targets: What the engine's names of functions stand for, where they are not themselves.
        thought: How reasoning is told: ``THOUGHT`` or ``SUMMARY``.
    """

    def __init__(self, name: str, *, targets: Mapping[str, Target], thought: str) -> None:
        self.events = Events()
        self.thought = thought
        self._name = name
        self._targets = targets
        self._items: list[ItemOut | None] = []
        self._growing: _Growing | None = None
        self._calls: dict[int, _Call] = {}

    @property
    def items(self) -> list[ItemOut]:
        """The items that are closed."""
        return [item for item in self._items if item is not None]

    def say(self, kind: str, text: str, logprobs: Sequence[Logprob] = ()) -> bytes:
        """More of a text of the kind ``TEXT``, ``REFUSAL``, ``THOUGHT`` or ``SUMMARY``."""
        growing, before = self._growing, b""
        if growing is None or growing.kind != kind:
            before = self._close_text("completed")
            growing, opening = self._open_text(kind)
            before += opening
        growing.pieces.append(text)
        growing.logprobs.extend(logprobs)
        return before + self.events.delta(growing.spot, text, _more(kind, logprobs))

    def call(self, number: int, *, call_id: str | None, name: str | None, arguments: str) -> bytes:
        """A fragment of a call.

        Args:
            number: Tells the calls of one answer apart.
            call_id: In the first fragment.
            name: Of the function, in the first fragment.
            arguments: More of them.
        """
        call, before = self._calls.get(number), b""
        if call is None:
            before = self._close_text("completed")
            call = self._calls[number] = self._new_call(number, call_id, name or "")
            before += self.events.item("added", call.spot.index, _made(call, "", "in_progress"))
        call.pieces.append(arguments)
        if not arguments or call.target.custom:
            return before
        return before + self.events.delta(call.spot, arguments)

    def close(self, status: str) -> bytes:
        """Close what is open: ``completed``, or ``incomplete`` where the answer was cut short."""
        out = self._close_text(status)
        for call in self._calls.values():
            out += self._close_call(call, status)
        self._calls.clear()
        return out

    def _open_text(self, kind: str) -> tuple[_Growing, bytes]:
        index = len(self._items)
        self._items.append(None)
        spot = Spot(kind, f"{_PREFIX[kind]}_{self._name}_{index}", index)
        growing = self._growing = _Growing(kind, spot, [], [])
        item = _item(growing, "in_progress", empty=True)
        return growing, self.events.item("added", index, item) + self.events.part(
            "added", spot, _part(kind, "", [])
        )

    def _close_text(self, status: str) -> bytes:
        growing, self._growing = self._growing, None
        if growing is None:
            return b""
        text, spot, events = "".join(growing.pieces), growing.spot, self.events
        item = self._items[spot.index] = _item(growing, status, empty=False)
        return (
            events.done(spot, text, _more(growing.kind, growing.logprobs))
            + events.part("done", spot, _part(growing.kind, text, growing.logprobs))
            + events.item("done", spot.index, item)
        )

    def _new_call(self, number: int, call_id: str | None, name: str) -> _Call:
        target, index = self._targets.get(name) or Target(name), len(self._items)
        self._items.append(None)
        kind = "custom_tool_call_input" if target.custom else "function_call_arguments"
        spot = Spot(kind, f"{'ctc' if target.custom else 'fc'}_{self._name}_{index}", index)
        return _Call(call_id or f"call_{self._name}_{number}", target, spot, [])

    def _close_call(self, call: _Call, status: str) -> bytes:
        text, events, before = "".join(call.pieces), self.events, b""
        if call.target.custom:
            text = free_text(text)
            before = events.delta(call.spot, text)
        item = self._items[call.spot.index] = _made(call, text, status)
        return before + events.done(call.spot, text) + events.item("done", call.spot.index, item)


def _made(call: _Call, text: str, status: str) -> CallOut | CustomCallOut:
    target, item, called = call.target, call.spot.item, call.call_id
    space = target.namespace or msgspec.UNSET
    if target.custom:
        return CustomCallOut(
            id=item, status=status, call_id=called, name=target.name, namespace=space, input=text
        )
    return CallOut(
        id=item, status=status, call_id=called, name=target.name, namespace=space, arguments=text
    )


def _item(growing: _Growing, status: str, *, empty: bool) -> ItemOut:
    text = "".join(growing.pieces)
    part = _part(growing.kind, text, growing.logprobs)
    if not isinstance(part, Thought):
        parts = [] if empty else [part]
        return MessageOut(id=growing.spot.item, status=status, content=parts)
    thoughts = [] if empty else [part]
    summary, content = ([], thoughts) if growing.kind == THOUGHT else (thoughts, [])
    return ReasoningOut(id=growing.spot.item, status=status, summary=summary, content=content)


def _part(kind: str, text: str, logprobs: list[Logprob]) -> TextOut | RefusalOut | Thought:
    if kind == TEXT:
        return TextOut(text=text, logprobs=logprobs)
    if kind == REFUSAL:
        return RefusalOut(refusal=text)
    return Thought("summary_text" if kind == SUMMARY else kind, text)


def _more(kind: str, logprobs: Sequence[Logprob]) -> bytes:
    if kind != TEXT:
        return b""
    return b',"logprobs":%b' % ENCODE(logprobs) if logprobs else b',"logprobs":[]'

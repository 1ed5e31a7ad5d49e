"""Events: what a stream says, each with its name and its place in the order.

Deltas are most of a stream, so they are written without a struct each.
"""

from typing import Final

import msgspec
from msgspec import Struct

from littoral.gateway.dialect.responses.resource import (
    ENCODE,
    ItemOut,
    RefusalOut,
    Resource,
    TextOut,
    Thought,
)

_QUOTE = msgspec.json.Encoder().encode
DONE: Final = b"data: [DONE]\n\n"


class _Whole(Struct, kw_only=True):
    type: str
    sequence_number: int
    response: Resource


class _OfItem(Struct, kw_only=True):
    type: str
    sequence_number: int
    output_index: int
    item: ItemOut


class _OfPart(Struct, kw_only=True):
    type: str
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int = 0
    part: TextOut | RefusalOut | Thought


class _OfSummaryPart(Struct, kw_only=True):
    type: str
    sequence_number: int
    item_id: str
    output_index: int
    summary_index: int = 0
    part: Thought


class Events:
    """Writes events, numbered from 0."""

    def __init__(self) -> None:
        self._next = 0

    def _number(self) -> int:
        self._next += 1
        return self._next - 1

    def whole(self, kind: str, response: Resource) -> bytes:
        """``response.<kind>``: the response as it is now."""
        name = f"response.{kind}"
        return _event(name, _Whole(type=name, sequence_number=self._number(), response=response))

    def item(self, kind: str, index: int, item: ItemOut) -> bytes:
        """``response.output_item.<kind>``: an item appears, or is complete."""
        name = f"response.output_item.{kind}"
        number = self._number()
        return _event(
            name, _OfItem(type=name, sequence_number=number, output_index=index, item=item)
        )

    def part(self, kind: str, at: "Spot", part: TextOut | RefusalOut | Thought) -> bytes:
        """A part of an item's content, or of its summary, appears or is complete."""
        if at.of_summary and isinstance(part, Thought):
            name = f"response.reasoning_summary_part.{kind}"
            return _event(
                name,
                _OfSummaryPart(
                    type=name,
                    sequence_number=self._number(),
                    item_id=at.item,
                    output_index=at.index,
                    part=part,
                ),
            )
        name = f"response.content_part.{kind}"
        return _event(
            name,
            _OfPart(
                type=name,
                sequence_number=self._number(),
                item_id=at.item,
                output_index=at.index,
                part=part,
            ),
        )

    def delta(self, at: "Spot", text: str, more: bytes = b"") -> bytes:
        """More of a text; ``more`` are further members of the event."""
        return b'%b%d%b"delta":%b%b}\n\n' % (at.delta, self._number(), at.rest, _QUOTE(text), more)

    def done(self, at: "Spot", text: str, more: bytes = b"") -> bytes:
        """A text is complete."""
        return b"%b%d%b%b%b%b}\n\n" % (
            at.done,
            self._number(),
            at.rest,
            at.text,
            _QUOTE(text),
            more,
        )

    def error(self, code: str, message: str, kind: str) -> bytes:
        """``error``: clients raise at this one."""
        fault = {"type": kind, "code": code, "message": message, "param": None}
        body = {
            "type": "error",
            "sequence_number": self._number(),
            "code": code,
            "message": message,
            "param": None,
            "error": fault,
        }
        return b"event: error\ndata: %b\n\n" % ENCODE(body)


class Spot:
    """Where deltas go: the unchanging bytes of their events.

    Args:
        kind: Of the events, such as ``output_text``.
        item: Id of the item.
        index: Its place in the output.
    """

    __slots__ = ("delta", "done", "index", "item", "of_summary", "rest", "text")

    def __init__(self, kind: str, item: str, index: int) -> None:
        self.item = item
        self.index = index
        self.of_summary = kind == "reasoning_summary_text"
        name = f"response.{kind}"
        self.delta = _opening(f"{name}.delta")
        self.done = _opening(f"{name}.done")
        inner = {
            "function_call_arguments": b"",
            "custom_tool_call_input": b"",
            "reasoning_summary_text": b'"summary_index":0,',
        }.get(kind, b'"content_index":0,')
        self.rest = b',"item_id":"%b","output_index":%d,%b' % (item.encode(), index, inner)
        self.text = {
            "function_call_arguments": b'"arguments":',
            "custom_tool_call_input": b'"input":',
            "refusal": b'"refusal":',
        }.get(kind, b'"text":')


def _opening(name: str) -> bytes:
    return f'event: {name}\ndata: {{"type":"{name}","sequence_number":'.encode()


def _event(name: str, body: Struct) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), ENCODE(body))

"""Kept: responses on their way to the store and back: input items, threads, pages, last events."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from littoral.domain.errors import InvalidInput, UnknownName
from littoral.domain.response import ResponseStatus, StoredResponse
from littoral.gateway.dialect.responses.events import DONE
from littoral.gateway.dialect.responses.resource import ENCODE, Fault
from littoral.gateway.dialect.responses.wish import Item, Part, Wish
from littoral.gateway.refusal import Refusal, refuse

DEFAULT_PAGE: Final = 20
MOST_OF_A_PAGE: Final = 100
_ITEMS = msgspec.json.Decoder(list[Item]).decode
_RAWS = msgspec.json.Decoder(list[Raw]).decode
_MEMBERS = msgspec.json.Decoder(dict[str, Raw]).decode
_WISH = msgspec.json.Decoder(Wish).decode
_PREFIX = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}
_ENDS = frozenset(
    f"event: response.{kind}".encode() for kind in ("completed", "incomplete", "failed")
)
_NUMBER = re.compile(rb'"sequence_number":(\d+)')
_LIMIT = re.compile(r"[0-9]{1,3}")


class _Ended(Struct):
    status: ResponseStatus


class _Last(Struct):
    response: Raw


class _Named(Struct):
    id: str


_STATUS = msgspec.json.Decoder(_Ended).decode
_LAST = msgspec.json.Decoder(_Last).decode
_NAME = msgspec.json.Decoder(_Named).decode


def input_of(wish: Wish, name: str) -> bytes:
    """The input as a list of items, each with an id, and messages with parts of content.

    Args:
        wish: As read.
        name: What ids are made of.
    """
    given = wish.input
    items = [Item(role="user", content=given)] if isinstance(given, str) else (given or [])
    return ENCODE([_whole(item, f"{name}_in{at}") for at, item in enumerate(items)])


def _whole(item: Item, name: str) -> Item:
    kind = item.type or "message"
    content = item.content
    if isinstance(content, str):
        text = "output_text" if item.role == "assistant" else "input_text"
        annotations = Raw(b"[]") if item.role == "assistant" else Raw()
        part = Part(type=text, text=content)
        if annotations:
            part.annotations = annotations
        content = [part]
    status = item.status or "completed"
    summary = (item.summary or []) if kind == "reasoning" else item.summary
    made = f"{_PREFIX.get(kind, 'item')}_{name}"
    return replace(
        item, type=kind, id=item.id or made, content=content, status=status, summary=summary
    )


def before_of(thread: Sequence[StoredResponse]) -> list[Item]:
    """Everything that was said in a thread, oldest first."""
    items: list[Item] = []
    for each in thread:
        items += _ITEMS(each.input)
        output = _MEMBERS(each.body).get("output")
        if output is not None:
            items += _ITEMS(output)
    return items


def to_run(wish: Wish, before: Sequence[Item]) -> bytes:
    """A wish that can be run later without looking anything up."""
    given = wish.input
    own = [Item(role="user", content=given)] if isinstance(given, str) else (given or [])
    return ENCODE(replace(wish, input=[*before, *own]))


def run_of(asked: bytes) -> Wish:
    """The reverse of ``to_run``.

    Raises:
        ValueError: It is none.
    """
    try:
        return _WISH(asked)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error


def status_of(body: bytes) -> ResponseStatus:
    """The status that a response says it has."""
    return _STATUS(body).status


def last_of(events: bytes) -> bytes | None:
    """The response in the last event of a stream that says how it ended; None where none does."""
    for block in reversed(events.split(b"\n\n")):
        name, _, data = block.partition(b"\n")
        if name in _ENDS:
            return bytes(_LAST(data.removeprefix(b"data: ")).response)
    return None


def shown(stored: StoredResponse) -> bytes:
    """A stored response as clients see it: its status is what the store says."""
    members = _MEMBERS(stored.body)
    members["status"] = Raw(ENCODE(stored.status))
    if stored.reason:
        members["error"] = Raw(ENCODE(Fault("server_error", stored.reason)))
    return ENCODE(members)


def completed_at(body: bytes, at_s: int) -> bytes:
    """A response that says when it was completed, if it was; UTC seconds."""
    members = _MEMBERS(body)
    if status_of(body) == "completed":
        members["completed_at"] = Raw(ENCODE(at_s))
    return ENCODE(members)


def rest_of(stored: StoredResponse, number: int) -> bytes:
    """The events that end a stream which did not end itself, numbered from ``number``."""
    kind, data = stored.status.encode(), shown(stored)
    out = b""
    if stored.status == "failed":
        fault = {"type": "api_error", "code": "server_error", "message": stored.reason}
        body = {"type": "error", "sequence_number": number, "error": {**fault, "param": None}}
        out = b"event: error\ndata: %b\n\n" % ENCODE(body)
        number += 1
    name = b"response." + kind
    out += b'event: %b\ndata: {"type":"%b","sequence_number":%d,' % (name, name, number)
    return out + b'"response":%b}\n\n' % data + (b"" if stored.status == "failed" else DONE)


def page_of(stored: StoredResponse, query: Mapping[str, str]) -> bytes | Refusal:
    """A page of the items of a response's input.

    Args:
        stored: The response.
        query: ``limit``, ``order`` (``asc`` or ``desc``) and ``after``, the id of an item.
    """
    items = _RAWS(stored.input)
    names = [_NAME(item).id for item in items]
    limit, order, after = query.get("limit", ""), query.get("order", "desc"), query.get("after")
    if limit and not (_LIMIT.fullmatch(limit) and 1 <= int(limit) <= MOST_OF_A_PAGE):
        message = f"limit must be 1 to {MOST_OF_A_PAGE}, not {limit!r}"
        return refuse(InvalidInput, message, param="limit")
    if order not in {"asc", "desc"}:
        return refuse(InvalidInput, f"order must be asc or desc, not {order!r}", param="order")
    if order == "desc":
        items, names = items[::-1], names[::-1]
    if after is not None and after not in names:
        return refuse(UnknownName, f"the input has no item {after!r}", param="after")
    start = names.index(after) + 1 if after is not None else 0
    end = start + int(limit or DEFAULT_PAGE)
    page = names[start:end]
    return ENCODE(
        {
            "object": "list",
            "data": items[start:end],
            "first_id": page[0] if page else None,
            "last_id": page[-1] if page else None,
            "has_more": end < len(names),
        }
    )


def deleted(name: str) -> bytes:
    """What is said of a response that is no more."""
    return ENCODE({"id": name, "object": "response", "deleted": True})


def numbers_from(events: bytes, first: int) -> tuple[bytes, int]:
    """Those of whole events that are numbered ``first`` or above, and the number after the last.

    An event without a number ends a stream and is kept.
    """
    kept: list[bytes] = []
    after = first
    for block in events.split(b"\n\n")[:-1]:
        found = _NUMBER.search(block)
        if found is not None:
            number = int(found[1])
            if number < first:
                continue
            after = max(after, number + 1)
        kept.append(block + b"\n\n")
    return b"".join(kept), after

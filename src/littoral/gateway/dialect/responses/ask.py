"""Ask: the body of a response's request, read as the chat of an engine."""

from collections.abc import Sequence

from littoral.gateway import request
from littoral.gateway.asked import Asked
from littoral.gateway.dialect.responses import wish as wishes
from littoral.gateway.dialect.responses.chat import chat
from littoral.gateway.dialect.responses.tools import left_out
from littoral.gateway.dialect.responses.wish import Item, Origin, Wish
from littoral.gateway.refusal import Refusal


def read(data: bytes) -> Asked | Refusal:
    """Decode a body; a refusal has the path of the field that is wrong."""
    found = wishes.read(data)
    return found if isinstance(found, Refusal) else asked_of(*found)


def asked_of(
    wish: Wish,
    ignored: Sequence[str],
    before: Sequence[Item] = (),
    *,
    name: str = "",
    created_s: int = 0,
) -> Asked | Refusal:
    """Say what a wish needs.

    Args:
        wish: As read.
        ignored: Names of what has no effect.
        before: Items of the responses that it continues, oldest first.
        name: What ids are made of, where not of the request's.
        created_s: When it was asked, where not now; UTC seconds.
    """
    body = chat(wish, before)
    if isinstance(body, Refusal):
        return body
    asked = request.chat_asked(body, [*ignored, *left_out(wish.tools or ())])
    asked.origin = Origin(wish, name, created_s)
    return asked

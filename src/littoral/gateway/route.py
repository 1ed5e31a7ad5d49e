"""Routes: the paths that ask an engine, and how each reads, asks and answers."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from littoral.gateway import request
from littoral.gateway.asked import Asked
from littoral.gateway.dialect.openai import OPENAI
from littoral.gateway.operation import OPERATIONS
from littoral.gateway.refusal import Refusal
from littoral.gateway.tally import Whole, whole
from littoral.gateway.voice import Translator, Voice


class Flow(Struct, frozen=True, gc=False):
    """How a kind of engine's stream is read.

    Args:
        needle: What stands before each piece of content.
        finish: What stands in an event that says why a choice ended.
        done: The event that ends a stream.
    """

    needle: bytes
    finish: bytes = b'"finish_reason":"'
    done: bytes = b"data: [DONE]"


class Route(Struct, frozen=True, gc=False):
    """One path.

    Args:
        operation: What is asked of the engine, by its position in ``OPERATIONS``.
        read: Decodes a body.
        encode: Encodes it for an engine: the request, the engine's model name, the cap on tokens.
        voice: How errors are said.
        flow: How the engine's stream is read.
        translator: How its answers become the client's; None where they are passed on as they are.
        weigh: What an engine's whole reply says was used; None where it is no such reply.
    """

    operation: int
    read: Callable[[bytes], Asked | Refusal]
    encode: Callable[[Asked, str, int], bytes]
    voice: Voice
    flow: Flow
    translator: Translator | None = None
    weigh: Callable[[bytes], Whole | None] = whole


CHAT_FLOW: Final = Flow(b'"content":"')
TEXT_FLOW: Final = Flow(b'"text":"')
CHAT: Final = Route(OPERATIONS.index("chat"), request.read_chat, request.encode, OPENAI, CHAT_FLOW)
COMPLETION: Final = Route(
    OPERATIONS.index("completions"), request.read_completion, request.encode, OPENAI, TEXT_FLOW
)
ROUTES: Final = {b"/v1/chat/completions": CHAT, b"/v1/completions": COMPLETION}
"""By exact path; every one takes POST."""

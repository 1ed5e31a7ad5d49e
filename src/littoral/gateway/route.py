"""Routes: the paths that ask an engine, and how each reads, asks and answers."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from littoral.gateway import (
    decision,
    embedding,
    moderation,
    named,
    ranking,
    request,
    speech,
    tokenization,
)
from littoral.gateway.asked import Asked
from littoral.gateway.ballot import Matter
from littoral.gateway.dialect.anthropic import ask as messages
from littoral.gateway.dialect.anthropic import count
from littoral.gateway.dialect.anthropic.say import TRANSLATION as MESSAGES
from littoral.gateway.dialect.anthropic.voice import ANTHROPIC
from littoral.gateway.dialect.mended.chat import MENDED_CHAT
from littoral.gateway.dialect.mended.text import MENDED_TEXT
from littoral.gateway.dialect.ollama import ask as ollama
from littoral.gateway.dialect.ollama import say as lines
from littoral.gateway.dialect.ollama.voice import OLLAMA
from littoral.gateway.dialect.openai import OPENAI
from littoral.gateway.dialect.rerank import COHERE, JINA
from littoral.gateway.dialect.responses import ask as responses
from littoral.gateway.dialect.responses.answer import Responses, ResponsesVoice
from littoral.gateway.dialect.transcript import TRANSCRIPT, heard
from littoral.gateway.head import MAX_BODY
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
        writes: Whether an engine's reply is text that it wrote: its size says how many tokens.
        longest_reply: Most bytes of an engine's whole reply.
        longest_body: Most bytes of a request's body.
        mender: The translator for engines whose answers have the right shape in part.
        instead: The route to go where no place has what this one needs.
        guess: The answer, without any engine, where there is no such route either.
        panel: What several chats answer, where no engine can by itself; None for most.
    """

    operation: int
    read: Callable[[bytes], Asked | Refusal]
    encode: Callable[[Asked, str, int], bytes]
    voice: Voice
    flow: Flow
    translator: Translator | None = None
    weigh: Callable[[bytes], Whole | None] = whole
    writes: bool = True
    longest_reply: int = 8 * 1024 * 1024
    longest_body: int = MAX_BODY
    mender: Translator | None = None
    instead: "Route | None" = None
    guess: Callable[[Asked], bytes] | None = None
    panel: Callable[[Asked], Matter] | None = None


CHAT_FLOW: Final = Flow(b'"content":"')
TEXT_FLOW: Final = Flow(b'"text":"')
HEARD_FLOW: Final = Flow(b'"delta":"', b'"type":"transcript.text.done"')
SPOKEN_FLOW: Final = Flow(b'"audio":"', b'"type":"speech.audio.done"')
NO_FLOW: Final = Flow(b"")
"""Of what never streams."""
CHAT: Final = Route(
    OPERATIONS.index("chat"),
    request.read_chat,
    request.encode,
    OPENAI,
    CHAT_FLOW,
    mender=MENDED_CHAT,
)
COMPLETION: Final = Route(
    OPERATIONS.index("completions"),
    request.read_completion,
    request.encode,
    OPENAI,
    TEXT_FLOW,
    mender=MENDED_TEXT,
)
RESPONSES: Final = Route(
    OPERATIONS.index("chat"),
    responses.read,
    request.encode,
    ResponsesVoice(),
    CHAT_FLOW,
    Responses(),
)
EMBEDDING: Final = Route(
    OPERATIONS.index("embeddings"),
    embedding.read_embedding,
    named.encode,
    OPENAI,
    NO_FLOW,
    writes=False,
    longest_reply=32 * 1024 * 1024,
)
RERANK: Final = Route(
    OPERATIONS.index("rerank"),
    ranking.read_rerank,
    ranking.encode_rerank,
    OPENAI,
    NO_FLOW,
    JINA,
    writes=False,
)
SCORE: Final = Route(
    OPERATIONS.index("score"), ranking.read_score, named.encode, OPENAI, NO_FLOW, writes=False
)
TOKENIZE: Final = Route(
    OPERATIONS.index("tokenize"),
    tokenization.read_tokenize,
    tokenization.encode,
    OPENAI,
    NO_FLOW,
    weigh=tokenization.unbilled,
    mender=tokenization.TOKENS,
)
DETOKENIZE: Final = Route(
    OPERATIONS.index("detokenize"),
    tokenization.read_detokenize,
    tokenization.encode,
    OPENAI,
    NO_FLOW,
    weigh=tokenization.unbilled,
    mender=tokenization.TOKENS,
)
MESSAGE: Final = Route(
    CHAT.operation, messages.read, request.encode, ANTHROPIC, CHAT_FLOW, MESSAGES
)
TRANSCRIPTION: Final = Route(
    OPERATIONS.index("transcriptions"),
    speech.read_transcription,
    speech.encode_recording,
    OPENAI,
    HEARD_FLOW,
    TRANSCRIPT,
    weigh=heard,
    longest_body=speech.MOST_SOUND,
)
TRANSLATION: Final = replace(
    TRANSCRIPTION, operation=OPERATIONS.index("translations"), read=speech.read_translation
)
SPEECH: Final = Route(
    OPERATIONS.index("speech"),
    speech.read_speech,
    named.encode,
    OPENAI,
    SPOKEN_FLOW,
    weigh=speech.spoken,
    writes=False,
    longest_reply=32 * 1024 * 1024,
)
COUNT_BY_TOKENS: Final = Route(
    OPERATIONS.index("tokenize"),
    count.read_as_tokens,
    named.encode,
    ANTHROPIC,
    NO_FLOW,
    count.COUNTED,
    weigh=tokenization.unbilled,
    guess=count.guess,
)
COUNT: Final = Route(
    OPERATIONS.index("count_tokens"),
    count.read_count,
    count.encode_count,
    ANTHROPIC,
    NO_FLOW,
    count.COUNTED,
    weigh=tokenization.unbilled,
    instead=COUNT_BY_TOKENS,
)
MODERATION: Final = Route(
    OPERATIONS.index("moderations"),
    moderation.read,
    named.encode,
    OPENAI,
    NO_FLOW,
    writes=False,
    panel=moderation.Judging,
)
DECISION: Final = Route(
    CHAT.operation, decision.read, request.encode, OPENAI, NO_FLOW, panel=decision.Deciding
)
OLLAMA_CHAT: Final = Route(
    CHAT.operation, ollama.read_chat, request.encode, OLLAMA, CHAT_FLOW, lines.CHAT
)
OLLAMA_EMBED: Final = replace(
    EMBEDDING, read=ollama.read_embed, voice=OLLAMA, translator=lines.EMBEDDED
)
ROUTES: Final = {
    b"/v1/chat/completions": CHAT,
    b"/v1/completions": COMPLETION,
    b"/v1/responses": RESPONSES,
    b"/v1/embeddings": EMBEDDING,
    b"/v1/rerank": RERANK,
    b"/v2/rerank": replace(RERANK, translator=COHERE),
    b"/v1/score": SCORE,
    b"/v1/moderations": MODERATION,
    b"/v1/decisions": DECISION,
    b"/v1/audio/transcriptions": TRANSCRIPTION,
    b"/v1/audio/translations": TRANSLATION,
    b"/v1/audio/speech": SPEECH,
    b"/tokenize": TOKENIZE,
    b"/v1/tokenize": TOKENIZE,
    b"/detokenize": DETOKENIZE,
    b"/v1/detokenize": DETOKENIZE,
    b"/v1/messages": MESSAGE,
    b"/api/chat": OLLAMA_CHAT,
    b"/api/generate": replace(OLLAMA_CHAT, read=ollama.read_generate, translator=lines.GENERATE),
    b"/api/embed": OLLAMA_EMBED,
    b"/api/embeddings": replace(OLLAMA_EMBED, read=ollama.read_old_embed),
    b"/v1/messages/count_tokens": COUNT,
}
"""By exact path; every one takes POST."""

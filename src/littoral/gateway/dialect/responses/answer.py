"""Answer: an engine's chat completion, whole or as a stream, as a response."""

from typing import Final, cast, final

from littoral.gateway import reply
from littoral.gateway.asked import Asked
from littoral.gateway.dialect.openai import error_body, type_of
from littoral.gateway.dialect.responses.events import DONE
from littoral.gateway.dialect.responses.output import REFUSAL, SUMMARY, TEXT, THOUGHT, Output
from littoral.gateway.dialect.responses.resource import (
    ENCODE,
    Fault,
    Reason,
    Resource,
    UsageOut,
    name_of,
    resource_of,
    summary_of,
    usage_of,
)
from littoral.gateway.dialect.responses.tools import targets_of
from littoral.gateway.dialect.responses.wish import Origin
from littoral.gateway.refusal import Refusal
from littoral.gateway.said import Function, Logprobs, Said, Speech, Used, hear, listen
from littoral.gateway.tally import Usage

CUT_SHORT: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Reasons of an engine to end that leave a response incomplete, and how that is said."""
_CODES: Final = {400: "invalid_prompt", 429: "rate_limit_exceeded"}


@final
class ResponsesVoice:
    """Errors as OpenAI says them; a stream says its own, see ``Telling.fail``."""

    streams = reply.STREAM
    error_body = staticmethod(error_body)

    @staticmethod
    def error_event(refusal: Refusal, request: str) -> bytes:
        """Encode an error as an event of its own name."""
        return b"event: error\ndata: %b\n\n" % error_body(refusal, request)


@final
class Responses:
    """The translator of this dialect."""

    @staticmethod
    def whole(asked: Asked, data: bytes, request: str) -> bytes:
        """Translate an engine's whole reply."""
        said = hear(data)
        if not said.choices:
            raise ValueError("it has no choice")
        telling = Telling(asked, request)
        telling.tell(said)
        telling.close()
        return ENCODE(telling.resource)

    @staticmethod
    def stream(asked: Asked, request: str) -> "Telling":
        """Begin to translate a stream."""
        return Telling(asked, request)


class Telling:
    """One response under way.

    Args:
        asked: The request; its origin is an ``Origin``.
        request: Its id.
    """

    def __init__(self, asked: Asked, request: str) -> None:
        origin = origin_of(asked)
        wish, name = origin.wish, origin.name or name_of(request)
        self.resource: Resource = resource_of(wish, name, origin.created_s or asked.began_s)
        thought = THOUGHT if summary_of(wish) is None else SUMMARY
        self._asked = asked
        self._output = Output(name, targets=targets_of(wish), thought=thought)
        self._finish: str | None = None
        self._used: UsageOut | None = None
        self._begun = False

    def take(self, events: bytes) -> bytes:
        """Translate whole events of the engine."""
        out = [self._begin()]
        out += [self.tell(said) for said in listen(events)]
        return b"".join(out)

    def end(self, usage: Usage | None) -> bytes:
        """Say that it is complete, or incomplete."""
        if self._used is None and usage is not None:
            self._used = usage_of(
                usage.tokens_in, usage.tokens_out, cached=usage.cached, reasoned=0
            )
        out = self._begin() + self.close()
        return out + self._output.events.whole(self.resource.status, self.resource) + DONE

    def fail(self, refusal: Refusal) -> bytes:
        """Say that it failed, and why: an ``error`` for clients to raise, then the response."""
        out, resource, events = self._begin(), self.resource, self._output.events
        self._output.close("incomplete")
        code = _CODES.get(refusal.status, "server_error")
        resource.status, resource.error = "failed", Fault(code, refusal.message)
        resource.output = self._output.items
        out += events.error(refusal.code, refusal.message, type_of(refusal.status))
        return out + events.whole("failed", resource)

    def tell(self, said: Said) -> bytes:
        """Take a completion, or a chunk of one; returns its events."""
        if said.usage is not None:
            self._used = _usage(said.usage)
        if not said.choices:
            return b""
        choice = said.choices[0]
        if choice.finish_reason is not None:
            self._finish = choice.finish_reason
        speech = choice.delta or choice.message
        return self._say(speech, choice.logprobs) if speech is not None else b""

    def close(self) -> bytes:
        """Close every item and complete the resource."""
        resource, why = self.resource, CUT_SHORT.get(self._finish or "")
        resource.status = "completed" if why is None else "incomplete"
        out = self._output.close(resource.status)
        resource.output = self._output.items
        resource.usage = self._used
        if why is None:
            asked = self._asked
            resource.completed_at = asked.began_s + asked.total_us // 1_000_000
        else:
            resource.incomplete_details = Reason(why)
        return out

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        events, resource = self._output.events, self.resource
        return events.whole("created", resource) + events.whole("in_progress", resource)

    def _say(self, spoken: Speech, logprobs: Logprobs | None) -> bytes:
        output, out = self._output, b""
        if spoken.thought:
            out += output.say(output.thought, spoken.thought)
        if spoken.content:
            likely = (logprobs.content or ()) if logprobs is not None else ()
            out += output.say(TEXT, spoken.content, likely)
        if spoken.refusal:
            out += output.say(REFUSAL, spoken.refusal)
        for at, call in enumerate(spoken.tool_calls or ()):
            function = call.function or Function()
            number = at if call.index is None else call.index
            out += output.call(
                number, call_id=call.id, name=function.name, arguments=function.arguments or ""
            )
        return out


def origin_of(asked: Asked) -> Origin:
    """What a request of this dialect was asked as."""
    return cast("Origin", asked.origin)


def _usage(used: Used) -> UsageOut:
    return usage_of(
        used.prompt_tokens,
        used.completion_tokens,
        cached=used.cached,
        reasoned=used.thought or 0,
    )

"""``littoral chat``: talk to a model in the terminal."""

import readline
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

from cyclopts import Parameter

from littoral.app.command.conversation import Answer, Conversation, Json, Wish
from littoral.app.command.figures import span
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import Screen, screen
from littoral.app.command.site import target
from littoral.app.system import SystemClock
from littoral.domain.errors import InvalidInput, LittoralError, UnknownModel

MOST_INPUT = 1 << 20


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Manner:
    """How to answer.

    Args:
        system: What the model is told before the conversation.
        max_tokens: Most tokens of an answer.
        temperature: 0 is the likeliest answer, 2 the wildest.
    """

    system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None


MANNER = Manner()


def chat(
    model: str | None = None,
    prompt: str | None = None,
    /,
    *,
    manner: Manner = MANNER,
    reach: Reach = HERE,
) -> int:
    """Send one prompt, or talk when there is none; standard input is added to the prompt.

    Args:
        model: The model; may be left out where there is only one.
        prompt: What to ask.
        manner: How to answer.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    whom = target(reach)
    piped = _piped()
    question = "\n\n".join(part for part in (prompt, piped) if part)
    if reach.json and not question:
        raise InvalidInput("with --json give a prompt: littoral chat MODEL 'question' --json")
    talk = Conversation(whom, clock=SystemClock())
    try:
        wish = Wish(
            model=choose(talk.models(), model),
            max_tokens=manner.max_tokens,
            temperature=manner.temperature,
        )
        start = [said(manner.system, "system")] if manner.system else []
        dialogue = Dialogue(shown=shown, talk=talk, wish=wish, start=start)
        if question or not sys.stdin.isatty():
            return dialogue.once(question)
        readline.set_auto_history(True)
        shown.note("chat.hello", model=wish.model, url=whom.url)
        return dialogue.go_on()
    finally:
        talk.close()


def _piped() -> str:
    if sys.stdin.isatty():
        return ""
    text = sys.stdin.read(MOST_INPUT + 1)
    if len(text) > MOST_INPUT:
        raise InvalidInput(f"standard input is over {MOST_INPUT} characters")
    return text.strip()


def choose(listed: list[str], wanted: str | None) -> str:
    """The model to talk to.

    Raises:
        UnknownModel: There is none of this name, or none at all.
        InvalidInput: None was named and there are several.
    """
    known = ", ".join(listed)
    if not listed:
        raise UnknownModel(
            "no model is served yet; next: littoral up --model smollm2-135m, or littoral deploy"
        )
    if wanted is None:
        if len(listed) > 1:
            raise InvalidInput(f"there are several models; name one: {known}")
        return listed[0]
    if wanted not in listed:
        raise UnknownModel(f"no model {wanted!r} is served for this key; known: {known}")
    return wanted


def said(text: str, role: str = "user") -> Json:
    """One message of a conversation."""
    return {"role": role, "content": text}


def visible(text: str) -> str:
    """A model's text without what could drive the terminal."""
    return "".join(c for c in text if c in "\n\t" or (ord(c) >= 32 and not 127 <= ord(c) < 160))


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """Questions and answers on one screen."""

    shown: Screen
    talk: Conversation
    wish: Wish
    start: list[Json]

    def once(self, question: str) -> int:
        """Ask one thing.

        Raises:
            InvalidInput: The question is empty.
        """
        if not question:
            raise InvalidInput("there is nothing to ask: give a prompt or pipe one in")
        answer = self.answered([*self.start, said(question)])
        self.shown.json({"model": self.wish.model, **asdict(answer)})
        return 130 if answer.stopped else 0

    def answered(self, messages: list[Json]) -> Answer:
        """Ask, write the answer as it comes and its figures; Ctrl-C ends the answer only."""
        answer = Answer()
        try:
            for piece in self.talk.ask(self.wish, messages, answer):
                self.shown.raw(visible(piece))
        except KeyboardInterrupt:
            answer.stopped = True
        self.shown.line()
        if answer.stopped:
            self.shown.note("chat.stopped")
            return answer
        first = answer.first_s if answer.first_s is not None else answer.total_s
        self.shown.note(
            "chat.done",
            tokens=answer.tokens_out,
            first=span(first),
            time=span(answer.total_s),
            route=answer.route,
        )
        return answer

    def go_on(self, read: Callable[[str], str] = input) -> int:
        """Talk until /exit or the end of input.

        Args:
            read: Writes a prompt and returns a line; raises EOFError at the end.
        """
        messages = list(self.start)
        while True:
            try:
                text = _lines(read)
            except EOFError:
                self.shown.warn("")
                return 0
            except KeyboardInterrupt:
                self.shown.warn("")
                continue
            if text in {"/exit", "/quit"}:
                return 0
            if text == "/clear":
                messages = list(self.start)
                self.shown.note("chat.cleared")
            elif text:
                self._turn(messages, text)

    def _turn(self, messages: list[Json], text: str) -> None:
        messages.append(said(text))
        try:
            answer = self.answered(messages)
        except LittoralError as error:
            messages.pop()
            self.shown.warn(f"error: {error.message}")
            return
        messages.append(said(answer.text, "assistant"))


def _lines(read: Callable[[str], str]) -> str:
    text = read("> ")
    while text.endswith("\\"):
        text = text[:-1] + "\n" + read("... ")
    return text.strip()

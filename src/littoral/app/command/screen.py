"""Where a command writes: results on stdout, everything else on stderr."""

import sys
from collections.abc import Sequence
from typing import TextIO

from littoral.app.command import table
from littoral.app.command.messages import Messages, language
from littoral.app.system import environment


class Screen:
    """One command's output.

    Args:
        as_json: Results are one JSON document; sentences are left out.
        out: For results.
        err: For sentences, progress and errors.
        say: The catalogue of sentences.
    """

    def __init__(self, *, as_json: bool, out: TextIO, err: TextIO, say: Messages) -> None:
        self.as_json = as_json
        self.say = say
        self._out = out
        self._err = err

    @property
    def lively(self) -> bool:
        """Whether stderr is a terminal, where a line may be drawn again."""
        return self._err.isatty()

    def line(self, text: str = "") -> None:
        """A line of the result; nothing where the result is JSON."""
        if not self.as_json:
            self._write(self._out, text + "\n")

    def raw(self, text: str) -> None:
        """A piece of the result as it is, at once; nothing where the result is JSON."""
        if not self.as_json:
            self._write(self._out, text)

    def note(self, key: str, /, **values: str | int) -> None:
        """A sentence beside the result; nothing where the result is JSON."""
        if not self.as_json:
            self.warn(self.say(key, **values))

    def warn(self, text: str) -> None:
        """A line on stderr, whatever the result is."""
        self._write(self._err, text + "\n")

    def ask(self, text: str) -> None:
        """A question on stderr; the answer is typed behind it."""
        self._write(self._err, text)

    def redraw(self, text: str) -> None:
        """Write over the present line of a terminal."""
        self._write(self._err, f"\r\x1b[2K{text}")

    def json(self, value: object) -> None:
        """The result as JSON, null for what is infinite; nothing where it is for people."""
        if self.as_json:
            import msgspec  # noqa: PLC0415  not for a page's sake

            text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
            self._write(self._out, text + "\n")

    def rows(
        self, head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
    ) -> None:
        """A table of the result."""
        for text in table.lines(head, rows, right=right):
            self.line(text)

    def _write(self, stream: TextIO, text: str) -> None:
        stream.write(text)
        stream.flush()


def screen(*, as_json: bool) -> Screen:
    """The screen of this process."""
    say = Messages(language(environment()))
    return Screen(as_json=as_json, out=sys.stdout, err=sys.stderr, say=say)

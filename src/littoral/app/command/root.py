"""The command line's root: the table of commands, and what becomes of every error."""

import difflib
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from cyclopts import App, Group, Parameter
from cyclopts.exceptions import CycloptsError

from littoral.app.command.layout import Layout
from littoral.app.command.messages import Messages
from littoral.app.command.screen import Screen, screen
from littoral.app.command.verbs import HOME, VERBS
from littoral.app.version import VERSION
from littoral.domain.errors import InvalidInput, LittoralError

REFUSED = 2
CRASHED = 1
INTERRUPTED = 130
BROKEN_PIPE = 141
PAGES = ("--help", "-h", "--version")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Its words without the program's name; by default those of this process.

    Returns:
        The exit status: 0 done, 1 the answer is no (or a crash), 2 refused, 130 interrupted.
    """
    words = _spelt_out(sys.argv[1:] if argv is None else argv)
    shown = screen(as_json="--json" in words)
    try:
        return _run(words, shown)
    except LittoralError as error:
        _refuse(shown, error)
        return REFUSED
    except KeyboardInterrupt:
        shown.warn("")
        return INTERRUPTED
    except BrokenPipeError:
        _hush()
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001  the last resort: one line and a file, no traceback
        _crash(shown, error)
        return CRASHED


def _spelt_out(words: Sequence[str]) -> list[str]:
    """``littoral bench --rate 5`` means ``littoral bench run --rate 5``."""
    options = [word for word in words[1:2] if word.startswith("-") and word not in PAGES]
    return [words[0], "run", *words[1:]] if options and words[0] == "bench" else list(words)


def _run(words: list[str], shown: Screen) -> int:
    _check_text(words)
    _check_names(words)
    app = application(shown.say)
    try:
        answer = cast(
            "object",
            app(words, exit_on_error=False, print_error=False, result_action="return_value"),
        )
    except CycloptsError as error:
        raise InvalidInput(f"{_told(error)} (littoral {_command(words)}--help)") from error
    return answer if isinstance(answer, int) else 0


def application(say: Messages) -> App:
    """Every command, none of them loaded."""
    app = App(
        name="littoral",
        help=say("root"),
        help_epilogue=say("root.end"),
        version=VERSION,
        help_format="plaintext",
        help_formatter=Layout(),
        default_parameter=Parameter(negative=()),
        suppress_keyboard_interrupt=False,
    )
    groups = _groups(say)
    app["--help"].group = app["--version"].group = groups["options"]
    families: dict[str, App] = {}
    for place, verb in enumerate(VERBS):
        family, _, name = verb.name.rpartition(" ")
        if family and family not in families:
            families[family] = App(
                name=family,
                help=say(f"verb.{family}"),
                help_epilogue="",
                group=groups[verb.group],
                sort_key=place,
                group_commands=groups["commands"],
            )
            for flag in ("--help", "--version"):
                families[family][flag].group = groups["options"]
            app.command(families[family])
        (families[family] if family else app).command(
            f"{HOME}.{verb.target}",
            name=name,
            help=say(f"verb.{verb.name}"),
            help_epilogue="\n".join((say("examples"), *(f"  {line}" for line in verb.examples))),
            group=groups["commands" if family else verb.group],
            sort_key=place,
        )
    return app


def _groups(say: Messages) -> dict[str, Group]:
    names = ("run", "serve", "use", "watch", "commands", "options")
    return {name: Group(say(f"group.{name}"), sort_key=place) for place, name in enumerate(names)}


def _check_text(words: Sequence[str]) -> None:
    """Refuse bytes that are no text: they could be neither sent nor shown."""
    for word in words:
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise InvalidInput(f"{word!r} is not UTF-8")


def _check_names(words: Sequence[str]) -> None:
    """Refuse an unknown command before any is loaded."""
    first = [verb.name.split()[0] for verb in VERBS]
    if not words or words[0].startswith("-"):
        return
    known = list(dict.fromkeys(first))
    at = words[0]
    if at in first and len(words) > 1 and not words[1].startswith("-"):
        inner = [verb.name.split()[1] for verb in VERBS if verb.name.startswith(f"{at} ")]
        known, at = (inner, words[1]) if inner else (known, at)
    if at not in known:
        near = difflib.get_close_matches(at, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
        raise InvalidInput(f"there is no command {at!r}{hint}")


def _command(words: Sequence[str]) -> str:
    names = {verb.name for verb in VERBS}
    for count in (2, 1):
        if " ".join(words[:count]) in names:
            return " ".join(words[:count]) + " "
    return ""


def _told(error: CycloptsError) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _refuse(shown: Screen, error: LittoralError) -> None:
    if shown.as_json:
        told = {"code": error.code, "message": error.message, "param": error.param}
        shown.json({"error": told})
    else:
        shown.warn(f"error: {error.message}")


def _crash(shown: Screen, error: Exception) -> None:
    with tempfile.NamedTemporaryFile(
        "w", prefix="littoral-crash-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.writelines(traceback.format_exception(error))
    path = str(Path(file.name))
    if shown.as_json:
        told = {"code": "internal", "message": type(error).__name__, "file": path}
        shown.json({"error": told})
    else:
        shown.warn(shown.say("crashed", kind=type(error).__name__, path=path))


def _hush() -> None:
    """Give the interpreter's last flush somewhere to go: the reader of stdout has left."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)

"""How help pages look: plain text, two aligned columns, no colour, no boxes."""

import shutil
import textwrap
from collections.abc import Callable
from typing import Protocol, cast

from cyclopts.help import HelpEntry, HelpPanel

from littoral.app.command import table

MOST_LEFT = 28
NOTHING = {None, "False", "True", "()"}
INDENT = "  "
NARROWEST = 60
WIDEST = 100


class Page(Protocol):
    """What cyclopts hands over to be written on."""

    @property
    def print(self) -> Callable[..., object]:
        """Writes one piece of text and a line end."""
        ...


class Layout:
    """A formatter of help pages for cyclopts."""

    def __call__(self, console: Page, options: object, panel: HelpPanel) -> None:
        """Write one panel: its title and its entries."""
        del options
        if not panel.entries:
            return
        _write(console, f"{_plain(panel.title)}:")
        rows = [_row(entry, is_parameter=panel.format == "parameter") for entry in panel.entries]
        left = min(MOST_LEFT, 2 + max(table.width(names) for names, _ in rows))
        for names, about in rows:
            for line in _lines(names, about, left):
                _write(console, line)
        _write(console, "")

    def render_usage(self, console: Page, options: object, usage: object) -> None:
        """Write the usage line."""
        del options
        if usage:
            _write(console, f"Usage: {_plain(usage)}\n")

    def render_description(self, console: Page, options: object, description: object) -> None:
        """Write what the command does."""
        del options
        text = _plain(description)
        for paragraph in filter(None, text.split("\n\n")):
            _write(console, _filled(paragraph, "") + "\n")


def _write(console: Page, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _plain(value: object) -> str:
    if value is None:
        return ""
    inner = cast("object", getattr(value, "primary_renderable", value))
    return str(cast("object", getattr(inner, "plain", inner))).strip()


def _columns() -> int:
    return min(WIDEST, max(NARROWEST, shutil.get_terminal_size().columns))


def _filled(text: str, indent: str) -> str:
    return "\n".join(textwrap.wrap(text, _columns(), subsequent_indent=indent)) or text


def _row(entry: HelpEntry, *, is_parameter: bool) -> tuple[str, str]:
    about = " ".join(filter(None, (_plain(cast("object", entry.description)), _extra(entry))))
    return INDENT + _names(entry, is_parameter=is_parameter), about


def _lines(names: str, about: str, left: int) -> list[str]:
    wrapped = textwrap.wrap(about, _columns() - left) or [""]
    rest = [" " * left + line for line in wrapped[1:]]
    if table.width(names) > left - 2:
        return [names, " " * left + wrapped[0], *rest]
    return [table.pad(names, left) + wrapped[0], *rest]


def _names(entry: HelpEntry, *, is_parameter: bool) -> str:
    labels = [*entry.positive_shorts, *entry.positive_names, *entry.negative_names]
    if entry.positional_label and is_parameter:
        labels.insert(0, entry.positional_label)
    joined = ", ".join(labels)
    value = entry.metavar if is_parameter and entry.metavar and not entry.positional_label else ""
    return f"{joined} {value}".rstrip()


def _extra(entry: HelpEntry) -> str:
    notes = [
        f"[{', '.join(entry.choices)}]" if entry.choices else "",
        f"[env: {', '.join(entry.env_var)}]" if entry.env_var else "",
        f"[default: {entry.default}]" if entry.default not in NOTHING else "",
        "[required]" if entry.required else "",
    ]
    return " ".join(filter(None, notes))

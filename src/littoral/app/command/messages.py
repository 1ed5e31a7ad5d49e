"""What the command line says, in English and Chinese."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias, cast

Language: TypeAlias = Literal["en", "zh"]


def language(environ: Mapping[str, str]) -> Language:
    """Choose by ``LITTORAL_LANG``, ``LC_ALL``, ``LC_MESSAGES``, ``LANG``: the first one set."""
    for name in ("LITTORAL_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = environ.get(name, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


class Messages:
    """The catalogue of one language.

    Args:
        chosen: Which language.
    """

    def __init__(self, chosen: Language) -> None:
        file = Path(__file__).with_name(f"{chosen}.json")
        self._texts = cast("dict[str, str]", json.loads(file.read_text("utf-8")))

    def __call__(self, key: str, /, **values: str | int) -> str:
        """The text of ``key``, with values put in its braces."""
        text = self._texts[key]
        return text.format(**values) if values else text

    def get(self, key: str) -> str | None:
        """The text of ``key``, or None where there is none."""
        return self._texts.get(key)

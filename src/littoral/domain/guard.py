"""Guard: what a project lets its requests carry, and what is taken out before they leave."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

Personal: TypeAlias = Literal["email", "phone", "cn_id", "bank_card", "ip"]
"""Kinds of personal data that can be found in a text."""
PERSONAL: Final[tuple[Personal, ...]] = get_args(Personal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Filters in the path of a project's requests; what is empty or None filters nothing.

    ``redact`` are kinds of personal data that are replaced before a request goes to an API outside;
    what cannot be searched for them (images, sound, token ids) does not go there. ``tools`` are the
    names of functions that a request may offer to a model, which may end in ``*``; empty means all.
    ``strict`` refuses fields that are not known, which are otherwise left out and named.
    """

    redact: tuple[Personal, ...] = ()
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    tools: tuple[str, ...] = ()
    strict: bool = False


UNGUARDED: Final = Guard()

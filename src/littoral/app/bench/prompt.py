"""Synthetic prompts of given lengths, the same for the same seed.

Words are short and common, so that nearly every tokenizer makes one token of each. How many tokens
a service really counts for so many words is asked of it before the run, and the rest is arithmetic.
"""

from collections.abc import Callable
from dataclasses import dataclass

from littoral.domain.ports import Chance

WORDS = (
    "time year people way day man thing woman life child world school state family student group "
    "country problem hand part place case week company system program question work government "
    "number night point home water room mother area money story fact month lot right study book "
    "eye job word business issue side kind head house service friend father power hour game line "
    "end member law car city name president team minute idea kid body information back parent "
    "face level office door health person art war history party result change morning reason "
    "research girl guy moment air teacher force education foot boy age policy music market sense "
    "north south plan road summer winter green river table letter paper window garden street"
).split()
BLOCK = 512
"""Tokens of one block of a trace's prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What a service counts for a prompt: ``fixed + per_word * words`` tokens.

    Args:
        per_word: Tokens of one of our words.
        fixed: Tokens of the chat template around a prompt.
    """

    per_word: float = 1.0
    fixed: float = 0.0

    def words(self, tokens: int) -> int:
        """How many words make a prompt of so many tokens; at least one."""
        return max(1, round((tokens - self.fixed) / self.per_word))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """What prompts have in common.

    Args:
        share: The part of each prompt, from its beginning, that others have too; 0 to 1.
        groups: How many different beginnings there are.
    """

    share: float = 0.0
    groups: int = 1


class PromptMaker:
    """Makes the text of each request.

    Args:
        chance: A seeded source of chance for any name.
        scale: What the service counts.
        sharing: What prompts have in common.
    """

    def __init__(self, chance: Callable[[str], Chance], *, scale: Scale, sharing: Sharing) -> None:
        self._chance = chance
        self._scale = scale
        self._sharing = sharing
        self._beginnings: dict[int, list[str]] = {}

    def text(self, index: int, tokens: int, blocks: tuple[int, ...] = ()) -> str:
        """The prompt of request ``index``: about ``tokens`` tokens as the service counts them.

        Args:
            index: Which request; others get other text, but for what they share.
            tokens: How long it shall be, with the chat template.
            blocks: Names of its blocks of 512 tokens, where a trace gives them.
        """
        count = self._scale.words(tokens)
        if blocks:
            return " ".join(self._of_blocks(blocks, count))
        shared = round(self._sharing.share * count)
        words = self._beginning(index % self._sharing.groups, shared)
        return " ".join([*words, *_some(self._chance(f"own/{index}"), count - shared)])

    def _beginning(self, group: int, count: int) -> list[str]:
        """The first words of a group: a longer one goes on where a shorter one ends."""
        if count > len(self._beginnings.get(group, ())):
            self._beginnings[group] = _some(self._chance(f"shared/{group}"), count)
        return self._beginnings.get(group, [])[:count]

    def _of_blocks(self, blocks: tuple[int, ...], count: int) -> list[str]:
        size = max(1, round(BLOCK / self._scale.per_word))
        words: list[str] = []
        for block in blocks:
            words += _some(self._chance(f"block/{block}"), min(size, count - len(words)))
        return [*words, *_some(self._chance("rest"), count - len(words))]


def _some(chance: Chance, count: int) -> list[str]:
    size = len(WORDS)
    return [WORDS[int(chance.random() * size)] for _ in range(count)]

"""Synthetic prompts of given lengths, the same for the same seed.

Words are short and common, so that nearly every tokenizer makes one token of each. How many tokens
a service really counts for so many words is asked of it before the run, and the rest is arithmetic.
A prompt is a stretch of one long tape of such words: it takes microseconds to make, however long it
is, so that making it does not delay what the run measures.
"""

import hashlib
from dataclasses import dataclass

from littoral.domain.ports import Chance

TEXT = (
    "time year people way day man thing woman life child world school state family student "
    "group country problem hand part place case week company system program question work "
    "government number night point home water room mother area money story fact month lot right "
    "study book eye job word business issue side kind head house service friend father power "
    "hour game line end member law car city name president team minute idea kid body "
    "information back parent face level office door health person art war history party result "
    "change morning reason research girl guy moment air teacher force education foot boy age "
    "policy music market sense north south plan road summer winter green river table letter "
    "paper window garden street"
)
WORDS = tuple(TEXT.split())
BLOCK = 512
"""Tokens of one block of a trace's prompt."""
TAPE = 1 << 16
"""Words on the tape; longer prompts go round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What a service counts for a prompt: ``fixed + per_word * words`` tokens.

    Args:
        per_word: Tokens of one of our words.
        fixed: Tokens of the chat template around a prompt.
        asked: Whether the service told; else it is our guess.
    """

    per_word: float = 1.0
    fixed: float = 0.0
    asked: bool = False

    def words(self, tokens: int) -> int:
        """How many words make a prompt of so many tokens; at least one."""
        return max(1, round((tokens - self.fixed) / self.per_word))


def scale(short: tuple[int, int], long: tuple[int, int]) -> Scale:
    """What two prompts tell about all.

    Args:
        short: Words of the one, and the tokens that the service counted.
        long: The same of a longer one.
    """
    (words, tokens), (more_words, more_tokens) = short, long
    per_word = (more_tokens - tokens) / (more_words - words)
    if per_word <= 0:
        return Scale()
    return Scale(per_word=per_word, fixed=max(0.0, tokens - per_word * words), asked=True)


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
        chance: Of one seed: it writes the tape.
        scale: What the service counts.
        sharing: What prompts have in common.
    """

    def __init__(self, chance: Chance, *, scale: Scale, sharing: Sharing) -> None:
        self._scale = scale
        self._sharing = sharing
        words = [WORDS[int(chance.random() * len(WORDS))] for _ in range(TAPE)]
        self._tape = " ".join(words + words)
        self._starts = [0]
        for word in words + words:
            self._starts.append(self._starts[-1] + len(word) + 1)

    def text(self, index: int, tokens: int, blocks: tuple[int, ...] = ()) -> str:
        """The prompt of request ``index``: about ``tokens`` tokens as the service counts them.

        Args:
            index: Which request; others get other text, but for what they share.
            tokens: How long it shall be, with the chat template.
            blocks: Names of its blocks of 512 tokens, where a trace gives them.
        """
        count = self._scale.words(tokens)
        if blocks:
            return self._of_blocks(blocks, count)
        shared = round(self._sharing.share * count)
        group = index % self._sharing.groups
        parts = [self._some(f"shared/{group}", shared), self._some(f"own/{index}", count - shared)]
        return " ".join(filter(None, parts))

    def _of_blocks(self, blocks: tuple[int, ...], count: int) -> str:
        size = max(1, round(BLOCK / self._scale.per_word))
        parts: list[str] = []
        for block in blocks:
            parts.append(self._some(f"block/{block}", min(size, count)))
            count -= size
        return " ".join(filter(None, [*parts, self._some("rest", count)]))

    def _some(self, name: str, count: int) -> str:
        """The stretch of the tape that belongs to a name: a longer one begins alike."""
        if count <= 0:
            return ""
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        begin = int.from_bytes(digest, "big") % TAPE
        parts: list[str] = []
        while count > TAPE:
            parts.append(self._stretch(begin, TAPE))
            count -= TAPE
        return " ".join([*parts, self._stretch(begin, count)])

    def _stretch(self, begin: int, count: int) -> str:
        return self._tape[self._starts[begin] : self._starts[begin + count] - 1]

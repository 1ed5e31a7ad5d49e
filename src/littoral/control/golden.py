"""Golden items as declared: how many, how long, and that each can be asked and judged."""

from typing import Final

from littoral.control.bounds import refuse, within
from littoral.domain.deployment import DeploymentSpec, EngineKind
from littoral.domain.rollout import GoldenItem
from littoral.placement.golden import CHOICE, plain

MOST_ITEMS: Final = 200
MOST_MESSAGES: Final = 32
MOST_BYTES: Final = 8 * 1024
"""Of one item: what is asked, and what is expected."""
MOST_TOGETHER: Final = 128 * 1024
MOST_TOKENS: Final = 256
ASKED: Final[tuple[EngineKind, ...]] = ("llama_cpp", "openvino", "fake")
"""Engines that run on a node and answer in words."""


def check_items(spec: DeploymentSpec) -> None:
    """Check the golden items of a deployment's rollout.

    Raises:
        InvalidInput: There are too many or too long ones, or one that cannot be asked or judged.
    """
    items = () if spec.rollout is None else spec.rollout.items
    at = "spec.rollout.items"
    if items and spec.engine not in ASKED:
        raise refuse(at, f"only engines {', '.join(ASKED)} are asked, not {spec.engine}")
    if len(items) > MOST_ITEMS:
        raise refuse(at, f"{len(items)} items; at most {MOST_ITEMS} are allowed")
    for number, item in enumerate(items):
        _check(item, at=f"{at}[{number}]")
    together = sum(map(_bytes, items))
    if together > MOST_TOGETHER:
        raise refuse(at, f"{together} bytes together; at most {MOST_TOGETHER} are allowed")


def _check(item: GoldenItem, *, at: str) -> None:
    if bool(item.prompt.strip()) == bool(item.messages):
        raise refuse(at, "give one of prompt and messages")
    if len(item.messages) > MOST_MESSAGES:
        raise refuse(f"{at}.messages", f"at most {MOST_MESSAGES} messages are allowed")
    if item.messages and item.messages[-1].role != "user":
        raise refuse(f"{at}.messages", "the last one must be of role user: it is answered")
    if not plain(item.expect):
        raise refuse(f"{at}.expect", "give the answer that is right")
    if item.check == "choice" and not CHOICE.fullmatch(plain(item.expect)):
        raise refuse(f"{at}.expect", "a choice is one letter from A to Z, or one digit")
    within(f"{at}.max_tokens", item.max_tokens, (1, MOST_TOKENS))
    if _bytes(item) > MOST_BYTES:
        raise refuse(at, f"{_bytes(item)} bytes; at most {MOST_BYTES} are allowed")


def _bytes(item: GoldenItem) -> int:
    texts = (item.prompt, item.expect, *(each.content for each in item.messages))
    return sum(len(each.encode()) for each in texts)

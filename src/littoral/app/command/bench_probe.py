"""Before a run: whether the service answers, has the model, and what it counts for a prompt."""

from typing import cast

from littoral.app.bench.message import PATHS
from littoral.app.bench.prompt import PromptMaker, Scale, Sharing, scale
from littoral.app.bench.request import body
from littoral.app.bench.result import Plan
from littoral.app.bench.run import work
from littoral.app.command.conversation import Conversation, Json
from littoral.app.system import SystemChance

SHORT = 16
LONG = 144
"""Words of the two prompts that are sent."""


def probe(talk: Conversation, plan: Plan) -> Scale:
    """Send two small requests, one after the other, and see what the service counts.

    Args:
        talk: The service.
        plan: Of the run.

    Returns:
        The tokens of a word and of the template; a guess where the service does not say.

    Raises:
        LittoralError: It refused one, or did not answer.
    """
    words = PromptMaker(SystemChance(f"{plan.seed}/probe"), scale=Scale(), sharing=Sharing())
    found: list[tuple[int, int]] = []
    made = work(plan, Scale())
    for index, count in enumerate((SHORT, LONG)):
        asked = body(made, words.text(index, count), tokens_out=1)
        for name in ("stream", "stream_options"):
            asked.pop(name, None)
        answer = talk.whole(PATHS[plan.endpoint], asked)
        usage = cast("Json", answer.get("usage") or {})
        tokens = usage.get("prompt_tokens")
        if not isinstance(tokens, int) or tokens <= 0:
            return Scale()
        found.append((count, tokens))
    return scale(found[0], found[1])

"""What a node in a test is looked after with: no machine to read, no engine to ask."""

from littoral.domain.enrolment import Inventory
from littoral.domain.errors import UnknownName, UpstreamFailed
from littoral.node.renewal import Joined
from littoral.node.tending import Tools


def plain_tools(joined: Joined | None = None) -> Tools:
    """Tools of a machine with two cores, no logs, and engines that answer no probe."""

    def tail(role: str, lines: int) -> str:
        raise UnknownName(f"there is no log of {role!r} with {lines} lines")

    async def probe(endpoint, tokens_in, tokens_out):
        raise UpstreamFailed(f"{endpoint.id} answers no probe: {tokens_in}, {tokens_out}")

    async def answer(endpoint, item):
        raise UpstreamFailed(f"{endpoint.id} answers no item: {item.expect}")

    return Tools(
        inventory=lambda: Inventory(cores=2), tail=tail, probe=probe, answer=answer, joined=joined
    )

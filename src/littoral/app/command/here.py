"""Asking the node of this machine itself, which answers without control."""

from functools import partial

import anyio

from littoral.app.channel import UnixNetwork
from littoral.app.role.node import COUNTER
from littoral.app.settings import Settings
from littoral.domain.errors import InvalidInput, Unavailable
from littoral.domain.ports import ChannelClosed
from littoral.domain.upkeep import Do, Done

WITHIN_S = 20.0


def ask_here(settings: Settings, errand: Do) -> Done:
    """Have the node in this data folder do something.

    Raises:
        InvalidInput: It would not; the message is its own.
        Unavailable: No node runs here.
    """
    done = anyio.run(partial(_asked, str(settings.path(COUNTER)), errand))
    if not done.ok:
        raise InvalidInput(done.result)
    return done


async def _asked(address: str, errand: Do) -> Done:
    try:
        with anyio.fail_after(WITHIN_S):
            async with UnixNetwork().dial(address) as channel:
                await channel.send(errand)
                answer = await channel.receive()
    except (ChannelClosed, TimeoutError) as error:
        raise Unavailable(f"no node answers at {address}: is it running? ({error})") from error
    if not isinstance(answer, Done):
        raise Unavailable(f"the node answered {type(answer).__name__}")
    return answer

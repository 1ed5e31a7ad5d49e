"""Asking the node of this machine itself, which answers without control."""

from functools import partial

import anyio

from littoral.app.channel import UnixNetwork
from littoral.app.role.node import COUNTER
from littoral.app.settings import Settings
from littoral.domain.errors import InvalidInput, Unavailable
from littoral.domain.ports import ChannelClosed
from littoral.domain.units import Seconds
from littoral.domain.upkeep import Do, Done

WITHIN_S = Seconds(20.0)


def ask_here(settings: Settings, errand: Do, *, within_s: Seconds = WITHIN_S) -> Done:
    """Have the node in this data folder do something.

    Args:
        settings: Whose data folder.
        errand: What.
        within_s: How long it may take.

    Raises:
        InvalidInput: It would not; the message is its own.
        Unavailable: No node runs here.
    """
    done = anyio.run(partial(_asked, str(settings.path(COUNTER)), errand, within_s=within_s))
    if not done.ok:
        raise InvalidInput(done.result)
    return done


async def _asked(address: str, errand: Do, *, within_s: Seconds) -> Done:
    try:
        with anyio.fail_after(within_s):
            async with UnixNetwork().dial(address) as channel:
                await channel.send(errand)
                answer = await channel.receive()
    except (ChannelClosed, TimeoutError) as error:
        raise Unavailable(f"no node answers at {address}: is it running? ({error})") from error
    if not isinstance(answer, Done):
        raise Unavailable(f"the node answered {type(answer).__name__}")
    return answer

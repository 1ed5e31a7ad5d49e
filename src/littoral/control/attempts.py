"""Attempts: how often an address was wrong lately."""

import ipaddress
from collections import OrderedDict, deque

from littoral.domain.errors import LimitReached
from littoral.domain.units import Seconds

MOST = 5
WITHIN = Seconds(60.0)
MOST_ADDRESSES = 10_000


class Attempts:
    """Counts failures by address, and refuses after too many of them."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, deque[Seconds]] = OrderedDict()

    def check(self, address: str, *, now: Seconds) -> None:
        """Let an address try.

        Raises:
            LimitReached: It failed too often in the last minute.
        """
        failed = self._failed.get(_network(address))
        while failed and now - failed[0] >= WITHIN:
            failed.popleft()
        if failed and len(failed) >= MOST:
            raise LimitReached(
                "too many wrong join tokens from this address; wait a minute",
                retry_after_s=WITHIN - (now - failed[0]),
            )

    def failed(self, address: str, *, now: Seconds) -> None:
        """This address was wrong."""
        name = _network(address)
        self._failed.setdefault(name, deque(maxlen=MOST)).append(now)
        self._failed.move_to_end(name)
        if len(self._failed) > MOST_ADDRESSES:
            self._failed.popitem(last=False)


def _network(address: str) -> str:
    """An address of IPv6 stands for its whole /64: whoever has one has them all."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network(f"{found}/64", strict=False))

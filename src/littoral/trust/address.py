"""Addresses: which ones a request that follows somebody's URL may reach.

The table is our own: what ``ipaddress`` calls global changes with Python's patch level, and takes
in translation prefixes, multicast and the metadata services of clouds.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


SPECIAL_4: Final = _networks(
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
UNICAST_6: Final = ipaddress.IPv6Network("2000::/3")
SPECIAL_6: Final = _networks(
    "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"
)
"""Within ``2000::/3``; whatever lies outside it is refused without a list."""
CARRIERS: Final = _networks("::ffff:0:0/96", "64:ff9b::/96")
"""IPv6 prefixes whose last 32 bits are the IPv4 address that is really reached."""


def verdict(address: str, *, allowed: Sequence[str]) -> str | None:
    """Say why an address must not be dialled, or None where it may be.

    Args:
        address: A numeric IP address, as a resolver returned it; never a name.
        allowed: Networks an operator opened on purpose (``"10.0.0.0/8"``), which come first.

    Source: the IANA special-purpose registries, and the metadata addresses of clouds.
    Checked by: tests/unit/trust/test_address.py.
    """
    if "%" in address:
        return f"{address!r} names a zone"
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return f"{address!r} is not an IP address"
    reached = _reached(parsed)
    if _within(reached, (ipaddress.ip_network(text, strict=False) for text in allowed)):
        return None
    if isinstance(reached, ipaddress.IPv4Address):
        special = _within(reached, SPECIAL_4)
    else:
        special = reached not in UNICAST_6 or _within(reached, SPECIAL_6)
    return f"{address!r} is not a public address" if special else None


def _reached(address: _Address) -> _Address:
    if isinstance(address, ipaddress.IPv6Address) and _within(address, CARRIERS):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _within(address: _Address, networks: Iterable[_Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)

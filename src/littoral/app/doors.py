"""Doors: the addresses at which clients, and machines elsewhere, reach this one.

Standard library only: the settings are checked with it before anything heavy is loaded.
"""

import ipaddress
import re
from pathlib import Path

from littoral.domain.enrolment import Doors, Place
from littoral.domain.errors import InvalidInput

_PROXY = re.compile(
    r"http://([^\s/@:]+:[^\s/@]*@)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:(?P<port>[0-9]{1,5}))?/?"
)
_URL = re.compile(r"https://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::(?P<port>[0-9]{1,5}))?/?")


def doors_of(nodes_listen: str, nodes_url: str, session_listen: str) -> Doors:
    """Read the settings of these names.

    Raises:
        InvalidInput: One is malformed, or lacks another beside it; ``param`` is its name.
    """
    public = _place(nodes_listen, what="nodes_listen")
    session = _place(session_listen, what="session_listen")
    if public is None:
        if session is not None:
            raise InvalidInput(
                "session_listen needs nodes_listen beside it: nodes join there",
                param="nodes_listen",
            )
        return Doors()
    host, url = _told(public, nodes_url)
    return Doors(
        public=public,
        session=session,
        public_url=url,
        session_url=f"wss://{host}:{session.port}" if session else "",
        names=(host.strip("[]"), public.host, "localhost"),
    )


def check_host(host: str, *, safe: bool) -> None:
    """Refuse an address that clients must not be served at.

    Args:
        host: Where the public API shall listen.
        safe: Whether TLS is served, here or by a proxy in front.

    Raises:
        InvalidInput: It is no IP address, or what it shows would cross the network in the clear.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise InvalidInput(
            f"host must be an IP address such as 127.0.0.1, not {host!r}", param="host"
        ) from None
    if not address.is_loopback and not safe:
        raise InvalidInput(
            f"refusing to listen on {host} without TLS: keys and prompts would cross the "
            "network in the clear. Set tls_certificate and tls_key, or put a TLS proxy in front "
            "and set insecure_behind_proxy, or listen on 127.0.0.1",
            param="host",
        )


def check_files(*, tls_certificate: str, tls_key: str) -> None:
    """Refuse one of the two files of TLS without the other, or by a relative path.

    Raises:
        InvalidInput: One is missing, or relative; ``param`` is its name.
    """
    files = {"tls_certificate": tls_certificate, "tls_key": tls_key}
    for name, other in (("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")):
        if files[name] and not files[other]:
            raise InvalidInput(f"{name} needs {other} beside it", param=other)
        if files[name] and not Path(files[name]).is_absolute():
            raise InvalidInput(f"{name} must be absolute, not {files[name]!r}", param=name)


def check_proxy(proxy: str) -> None:
    """Refuse what is no address of an HTTP proxy.

    Raises:
        InvalidInput: It is malformed, or a proxy of another kind.
    """
    found = _PROXY.fullmatch(proxy)
    if proxy and (found is None or not 1 <= int(found["port"] or 80) <= 65535):
        raise InvalidInput(
            "proxy must look like http://proxy.example:3128 or http://user:password@10.0.0.1:3128; "
            "what is sent through it is TLS, so it needs none itself",
            param="proxy",
        )


def peer_door(peer_listen: str) -> str:
    """Read the setting of this name: where a node listens for others, and what they are told.

    Raises:
        InvalidInput: It is malformed, or no address that another machine could dial.
    """
    place = _place(peer_listen, what="peer_listen")
    if place is None:
        return ""
    if ipaddress.ip_address(place.host).is_unspecified:
        raise InvalidInput(
            f"peer_listen on {place.host} is every address of this host, and other nodes are told "
            "which to dial: give the one on the site's network, such as 192.168.1.20:8446",
            param="peer_listen",
        )
    return f"[{place.host}]:{place.port}" if ":" in place.host else f"{place.host}:{place.port}"


def _told(public: Place, url: str) -> tuple[str, str]:
    """The host and the URL that joining machines are told."""
    if url:
        found = _URL.fullmatch(url)
        if found is None or not 1 <= int(found["port"] or 443) <= 65535:
            raise InvalidInput(
                f"nodes_url must look like https://cloud.example:8444, not {url!r}",
                param="nodes_url",
            )
        return found["host"], url.rstrip("/")
    if ipaddress.ip_address(public.host).is_unspecified:
        raise InvalidInput(
            f"nodes_listen on {public.host} is every address of this host: set nodes_url to the "
            "one that joining machines shall dial, such as https://cloud.example:8444",
            param="nodes_url",
        )
    host = f"[{public.host}]" if ":" in public.host else public.host
    return host, f"https://{host}:{public.port}"


def _place(address: str, *, what: str) -> Place | None:
    """Take an IP address and a port apart; None where there is none."""
    if not address:
        return None
    host, _, port = address.rpartition(":")
    try:
        found = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        number = int(port)
    except ValueError:
        number, found = 0, None
    if found is None or not 1 <= number <= 65535 or (found.version == 6) != host.startswith("["):
        raise InvalidInput(
            f"{what} must be an IP address and a port, such as 0.0.0.0:8444 or [::]:8444, not "
            f"{address!r}",
            param=what,
        )
    return Place(host=str(found), port=number)

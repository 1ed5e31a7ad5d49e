"""TLS of sessions: both ends show a certificate of the cluster, version 1.3, nothing less."""

import re
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from littoral.domain.ids import NodeId
from littoral.domain.link import Peer, Shown
from littoral.domain.units import Micros
from littoral.trust.dates import NO_CHECK_TIME

_NODE: Final = re.compile(r"spiffe://[^/]+/node/([a-z0-9_-]{1,63})")


def server_context(own: Shown) -> ssl.SSLContext:
    """What a listener needs: who dials must show a certificate of the cluster.

    Its dates are compared before it may begin a session, where it can be told so: a handshake that
    fails says nothing that the other end could act on.

    Raises:
        ssl.SSLError: It is no certificate, or the key is another one's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_flags |= NO_CHECK_TIME
    return _strict(context, own)


def client_context(own: Shown, *, lenient: bool = False) -> ssl.SSLContext:
    """What a node needs to dial: control must show a certificate of the cluster, with its name.

    Args:
        own: The node's.
        lenient: Leave the dates of certificates for later, as the clock of this host is wrong.

    Raises:
        ssl.SSLError: It is no certificate, or the key is another one's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if lenient:
        context.verify_flags |= NO_CHECK_TIME
    return _strict(context, own)


def show(context: ssl.SSLContext, own: Shown) -> None:
    """Show this certificate from the next handshake on; its key is in a file for a moment only.

    Roots are only ever added: a listener that starts anew trusts those of then.
    """
    context.load_verify_locations(cadata=own.roots)
    with tempfile.TemporaryDirectory(prefix="littoral-tls-") as folder:
        chain, key = Path(folder, "chain.pem"), Path(folder, "key.pem")
        chain.write_text(own.chain, "ascii")
        key.touch(mode=0o600)
        key.write_text(own.key, "ascii")
        context.load_cert_chain(chain, key)


def _strict(context: ssl.SSLContext, own: Shown) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    show(context, own)
    return context


def peer_of(shown: Mapping[str, object] | None) -> Peer | None:
    """The node that a verified certificate names; None where it is no node's."""
    if not shown:
        return None
    names = cast("tuple[tuple[str, str], ...]", shown.get("subjectAltName", ()))
    nodes = [found[1] for kind, name in names if kind == "URI" and (found := _NODE.fullmatch(name))]
    if len(nodes) != 1:
        return None
    from_us, until_us = validity_us(shown)
    return Peer(
        node=NodeId(nodes[0]),
        serial=str(shown.get("serialNumber", "")).lower().lstrip("0"),
        from_us=from_us,
        until_us=until_us,
    )


def validity_us(shown: Mapping[str, object]) -> tuple[Micros, Micros]:
    """From when until when a certificate holds, UTC microseconds."""
    first, last = (
        Micros(ssl.cert_time_to_seconds(str(shown[name])) * 1_000_000)
        for name in ("notBefore", "notAfter")
    )
    return first, last

"""``littoral gateway``: the data plane, on inherited sockets."""

import socket

from littoral.app.codec import pack, unpack
from littoral.app.flight_file import flight_file
from littoral.app.handed import Handed, failed, handed
from littoral.app.quota_file import quota_file
from littoral.app.screening import Screening
from littoral.app.settings import Settings
from littoral.app.system import SystemClock, SystemEntropy, SystemFailpoints
from littoral.domain.errors import InvalidInput, LittoralError
from littoral.gateway.wire.loop import run
from littoral.gateway.wire.tls import Certificate


def main() -> int:
    """Run a gateway until told to stop or the node is gone; returns its exit status."""
    try:
        return _serve(handed())
    except LittoralError as error:
        return failed(error)


def _serve(given: Handed) -> int:
    settings = given.settings
    failpoints = SystemFailpoints(settings.failpoints) if settings.failpoints else None
    with (
        flight_file(settings, given.worker, writer=True) as flight,
        quota_file(settings, mine=given.worker + 1) as quota,
        Screening() as screening,
    ):
        return run(
            listener=socket.socket(fileno=given.descriptors["listen"]),
            link=socket.socket(fileno=given.descriptors["link"]),
            flight=flight,
            quota=quota,
            node=settings.name,
            control_socket=str(settings.path("run/control.sock")),
            pack=pack,
            unpack=unpack,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            drain_s=settings.drain_s,
            certificate=_certificate(settings),
            failpoints=failpoints,
            screener=screening,
        )


def _certificate(settings: Settings) -> Certificate | None:
    if not settings.tls_certificate:
        return None
    files = (settings.tls_certificate, settings.tls_key)
    try:
        return Certificate(*files, least=settings.tls_least)
    except OSError as error:
        raise InvalidInput(
            f"tls_certificate and tls_key cannot be served: {error.strerror or error}",
            param="tls_certificate",
        ) from error

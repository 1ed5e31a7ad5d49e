"""Whether an instance answers, and waiting until a new one does."""

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ssl import SSLContext
from urllib.parse import urlsplit

from littoral.app.certificate import trust_in
from littoral.app.command.launch import Ended, Started, why
from littoral.app.command.local import alive, running
from littoral.app.command.reach import Reach
from littoral.app.command.site import admin
from littoral.app.command.waiting import Patience
from littoral.app.settings import Settings
from littoral.app.supervisor import is_joined
from littoral.domain.errors import LittoralError, Unavailable
from littoral.domain.units import Seconds

PROBE_S = 2.0
READY_S = Seconds(60.0)


def answers(url: str, path: str, *, trusted: SSLContext | bool = True) -> int | None:
    """The status of a GET without a key, or None where nothing answers in time."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    context = None if isinstance(trusted, bool) else trusted
    secure = HTTPSConnection(host, port, timeout=PROBE_S, context=context)
    connection = secure if parts.scheme == "https" else HTTPConnection(host, port, timeout=PROBE_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def await_ready(settings: Settings, reach: Reach, started: Started) -> str:
    """Wait until the gateway and control answer; returns the address.

    A machine that joined a cluster has control elsewhere: it is ready when it serves.

    Raises:
        Ended: The supervisor ended; the message ends its log.
        Unavailable: It is not ready in time.
    """

    def ready() -> str | None:
        here = running(settings)
        if not alive(started.pid):
            raise Ended(why(started))
        if here is None or answers(here.url, "/readyz", trusted=trust_in(here.certificate)) != 200:
            return None
        if is_joined(settings):
            return here.url
        try:
            with admin(reach) as control:
                control.status()
        except LittoralError:
            return None
        return here.url

    url = Patience().until(ready, timeout_s=READY_S)
    if url is None:
        raise Unavailable(
            f"Littoral is not ready after {READY_S:.0f} s; see: littoral status, littoral logs"
        )
    return url

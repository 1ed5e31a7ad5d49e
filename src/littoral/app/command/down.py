"""``littoral down``: stop the local instance."""

import os
import signal
from dataclasses import asdict

from littoral.app.command.figures import span
from littoral.app.command.local import Running, alive, running
from littoral.app.command.reach import HERE, Reach, settings_of
from littoral.app.command.screen import screen
from littoral.app.command.waiting import Patience
from littoral.app.system import SystemClock
from littoral.domain.errors import DeadlinePassed, Denied
from littoral.domain.units import Seconds


def down(*, timeout: float = 30.0, reach: Reach = HERE) -> int:
    """Stop the supervisor and with it every process; safe when nothing runs.

    Args:
        timeout: Seconds to wait for open requests and processes to end.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    settings = settings_of(reach)
    here = running(settings)
    if here is None:
        shown.note("down.none", path=settings.data_dir)
        shown.json({"stopped": False, "data_dir": settings.data_dir})
        return 0
    began = SystemClock().now()
    shown.note("down.stopping", pid=here.pid)
    stop(here, timeout_s=Seconds(timeout))
    took = SystemClock().now() - began
    shown.note("down.done", time=span(took))
    shown.json({"stopped": True, "data_dir": settings.data_dir, **_told(here)})
    return 0


def _told(here: Running) -> dict[str, object]:
    return {"pid": here.pid, "processes": [asdict(each) for each in here.processes]}


def stop(here: Running, *, timeout_s: Seconds) -> None:
    """Ask a supervisor to end and wait until it has.

    Raises:
        Denied: It belongs to another user.
        DeadlinePassed: It still runs; the message says what to do.
    """
    try:
        os.kill(here.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise Denied(f"pid {here.pid} belongs to another user; stop it as that user") from None
    gone = Patience().until(lambda: None if alive(here.pid) else True, timeout_s=timeout_s)
    if gone is None:
        raise DeadlinePassed(
            f"pid {here.pid} still runs after {timeout_s:.0f} s, probably because of open "
            f"requests; wait with --timeout, or end it at once with: kill -9 {here.pid} "
            "(nothing that was acknowledged is lost)"
        )

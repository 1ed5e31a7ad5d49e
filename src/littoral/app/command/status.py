"""``littoral status``: is it ready, what runs, what does not and why."""

from typing import TypedDict

from littoral.app.certificate import trust_in
from littoral.app.command.figures import size, span
from littoral.app.command.local import Running, memory, running, uptime
from littoral.app.command.probe import answers
from littoral.app.command.reach import HERE, Reach, settings_of
from littoral.app.command.screen import Screen, screen
from littoral.app.command.site import admin, authorities
from littoral.app.command.standing import standing
from littoral.app.settings import Settings
from littoral.client.admin import Admin
from littoral.domain.errors import LittoralError


class ProcessRow(TypedDict):
    """One process as ``--json`` gives it."""

    role: str
    pid: int
    uptime_s: float | None
    memory_bytes: int | None


class DeploymentRow(TypedDict):
    """One deployment as ``--json`` gives it."""

    name: str
    serves: str
    engine: str
    phase: str
    why: str


def status(*, reach: Reach = HERE) -> int:
    """Show the state of the local instance, or with --url of another one.

    Args:
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    if reach.url is not None:
        return _afar(shown, reach)
    settings = settings_of(reach)
    here = running(settings)
    if here is None:
        shown.note("status.down")
        told = {"url": None, "ready": False, "version": None, "data_dir": settings.data_dir}
        shown.json({**told, "processes": [], "deployments": []})
        return 1
    ready = answers(here.url, "/readyz", trusted=trust_in(here.certificate)) == 200
    processes = [_process(role, pid) for role, pid in _everyone(here)]
    deployments, trouble = _deployments(reach)
    shown.json(
        {
            "url": here.url,
            "ready": ready,
            "version": here.version,
            "data_dir": settings.data_dir,
            "processes": processes,
            "deployments": deployments,
            "trouble": trouble_of(settings),
        }
    )
    word = shown.say("status.ready" if ready else "status.unready")
    shown.line(f"{here.url}  {word}  littoral {here.version}  {settings.data_dir}")
    for sentence in trouble_of(settings):
        shown.line(f"! {sentence}")
    _show_processes(shown, processes)
    _show_deployments(shown, deployments, trouble)
    return 0 if ready else 1


def trouble_of(settings: Settings) -> list[str]:
    """What is wrong between this node and control, in sentences."""
    stand = standing(settings)
    return [] if stand is None else list(stand.trouble)


def _everyone(here: Running) -> list[tuple[str, int]]:
    rows = [(each.role, each.pid) for each in here.processes]
    if all(role != "supervisor" for role, _ in rows):
        rows.insert(0, ("supervisor", here.pid))
    return rows


def _process(role: str, pid: int) -> ProcessRow:
    return {"role": role, "pid": pid, "uptime_s": uptime(pid), "memory_bytes": memory(pid)}


def _deployments(reach: Reach) -> tuple[list[DeploymentRow], str]:
    try:
        with admin(reach) as control:
            return rows_of(control), ""
    except LittoralError as error:
        return [], error.message


def rows_of(control: Admin) -> list[DeploymentRow]:
    """Every deployment, what it serves, its state and why."""
    return [
        {
            "name": view.name,
            "serves": view.serves,
            "engine": view.spec.engine,
            "phase": view.phase,
            "why": view.why,
        }
        for view in control.deployments()
    ]


def _show_processes(shown: Screen, processes: list[ProcessRow]) -> None:
    shown.line()
    rows: list[tuple[str, ...]] = []
    for each in processes:
        up, used = each["uptime_s"], each["memory_bytes"]
        rows.append(
            (
                each["role"],
                str(each["pid"]),
                "-" if up is None else span(up),
                "-" if used is None else size(used),
            )
        )
    shown.rows(("PROCESS", "PID", "UPTIME", "MEMORY"), rows, right=(1, 3))


def _show_deployments(shown: Screen, deployments: list[DeploymentRow], trouble: str) -> None:
    shown.line()
    if trouble:
        shown.line(shown.say("status.nocontrol", why=trouble))
    elif not deployments:
        shown.line(shown.say("status.nodeployments"))
    else:
        rows = [(d["name"], d["serves"], d["engine"], d["phase"], d["why"]) for d in deployments]
        shown.rows(("DEPLOYMENT", "SERVES", "ENGINE", "STATE", "WHY"), rows)


def _afar(shown: Screen, reach: Reach) -> int:
    with admin(reach) as control:
        overview = control.status()
        deployments = rows_of(control)
    ready = answers(str(reach.url), "/readyz", trusted=authorities(reach)) == 200
    shown.json(
        {
            "url": reach.url,
            "ready": ready,
            "version": overview.build,
            "data_dir": None,
            "processes": [],
            "deployments": deployments,
        }
    )
    word = shown.say("status.ready" if ready else "status.unready")
    shown.line(f"{reach.url}  {word}  littoral {overview.build}")
    _show_deployments(shown, deployments, "")
    return 0 if ready else 1

"""Waiting for a deployment to be served as it is declared now."""

from littoral.app.command.figures import span
from littoral.app.command.screen import Screen
from littoral.app.command.waiting import Patience
from littoral.client.admin import Admin
from littoral.domain.errors import DeadlinePassed, UnknownName, UpstreamFailed
from littoral.domain.units import Seconds
from littoral.domain.view import DeploymentView

EVERY_S = Seconds(0.1)
REAL = Patience(every_s=EVERY_S)


def wait_ready(
    control: Admin, name: str, *, shown: Screen, timeout_s: Seconds, patience: Patience = REAL
) -> DeploymentView:
    """Wait until a deployment is ready as declared, and say what it waits for.

    Raises:
        UpstreamFailed: It failed; the message says why.
        DeadlinePassed: It takes longer than ``timeout_s``.
    """
    began = patience.clock.now()
    shown.note("deploy.waiting", name=name)
    last = ""

    def settled() -> DeploymentView | None:
        nonlocal last
        view = find(control, name)
        if states(control, view) & {"ready", "failed"}:
            return view
        if view.why and view.why != last and view.phase != "ready":
            shown.note("deploy.why", why=view.why)
        last = view.why
        return None

    view = patience.until(settled, timeout_s=timeout_s)
    if view is None:
        raise DeadlinePassed(
            f"{name} is not ready after {timeout_s:.0f} s ({last or 'no reason is known'}); it may "
            "yet become so: see littoral status, littoral logs"
        )
    if "ready" not in states(control, view):
        raise UpstreamFailed(f"{name} failed: {view.why}")
    shown.note("deploy.ready", name=name, time=span(patience.clock.now() - began))
    return view


def states(control: Admin, view: DeploymentView) -> set[str]:
    """States of the endpoints that run the deployment's present revision, not an earlier one."""
    wanted = {
        (node.id, f"{each.name}@{each.revision}")
        for node in control.nodes()
        for each in control.snapshot(node=node.id).assignments
        if each.name == view.name
    }
    return {
        placed.endpoint.state
        for placed in view.endpoints
        if (placed.node, placed.endpoint.id) in wanted
    }


def find(control: Admin, name: str) -> DeploymentView:
    """One deployment.

    Raises:
        UnknownName: There is none of this name.
    """
    views = control.deployments()
    for view in views:
        if view.name == name:
            return view
    known = ", ".join(view.name for view in views) or "none"
    raise UnknownName(f"no deployment {name!r}; known: {known}")

"""What follows a start: wait until ready, serve a model, try it, say how to go on."""

from collections.abc import Sequence
from dataclasses import dataclass

from littoral.app.command import deploy, hints, obtain
from littoral.app.command.chat import visible
from littoral.app.command.choice import engine_for
from littoral.app.command.conversation import Answer, Conversation, Wish
from littoral.app.command.figures import span
from littoral.app.command.launch import Started
from littoral.app.command.probe import await_ready
from littoral.app.command.reach import Reach
from littoral.app.command.readiness import wait_ready
from littoral.app.command.screen import Screen
from littoral.app.command.site import admin, target
from littoral.app.settings import Settings
from littoral.app.supervisor import is_joined
from littoral.app.system import SystemClock, environment
from littoral.client.admin import Admin
from littoral.domain.deployment import FORMATS, EngineKind
from littoral.domain.errors import LittoralError
from littoral.domain.units import Seconds
from littoral.domain.view import DeploymentView

LOAD_S = Seconds(300.0)
FIRST_TOKENS = 64


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do once it is ready.

    ``first`` is whether this start made the data folder, so that the key is shown.
    """

    settings: Settings
    reach: Reach
    started: Started | None
    first: bool
    detached: bool
    model: str | None = None
    engine: EngineKind | None = None


def announce(shown: Screen, plan: Plan) -> None:
    """Wait until the instance is ready, serve the model, and say how to go on.

    Raises:
        Unavailable: It did not start.
        LittoralError: The model cannot be served; the instance goes on running.
    """
    settings = plan.settings
    url = _ready(shown, plan)
    told: dict[str, object] = {"url": url, "ready": True, "data_dir": settings.data_dir}
    if is_joined(settings):
        show_lines(shown, [shown.say("up.url", url=url), stop_hint(shown, plan)])
        shown.json(told)
        return
    if plan.first:
        show_key(shown, settings)
    served, chats = plan.model, True
    try:
        if plan.model is not None:
            with admin(plan.reach) as control:
                view = serve(shown, control, model=plan.model, engine=plan.engine)
            served, chats = view.serves, can_chat(view)
            told |= {"model": served}
            if chats:
                answer = first_answer(shown, plan.reach, served)
                told |= {"answer": answer.text, "tokens_out": answer.tokens_out}
    except LittoralError:
        shown.note("up.trouble")
        show_hints(shown, plan, url=url, model=None)
        raise
    show_hints(shown, plan, url=url, model=served if chats else None)
    shown.json(told)


def _ready(shown: Screen, plan: Plan) -> str:
    if plan.started is None:
        return target(plan.reach).url
    clock = SystemClock()
    began = clock.now()
    url = await_ready(plan.settings, plan.reach, plan.started)
    shown.note("up.ready", time=span(clock.now() - began))
    if plan.detached:
        log = str(plan.settings.path("logs/supervisor.log"))
        shown.note("up.detached", pid=plan.started.pid, log=log)
    return url


def serve(
    shown: Screen, control: Admin, *, model: str, engine: EngineKind | None
) -> DeploymentView:
    """Fetch and deploy a model unless it is deployed, and wait until it is served."""
    name = obtain.name_from(model) if obtain.is_source(model) else deploy.name_of(model)
    if name not in {view.name for view in control.deployments()}:
        wanted = model
        if engine is None or engine in FORMATS:
            wanted = obtain.request(control, model, name=None, sha256=None)
            obtain.say_arrived(shown, obtain.follow(control, wanted, shown=shown))
        chosen = engine_for(shown, control, wanted, asked=engine, fetch=True)
        control.apply([deploy.document(wanted, name, deploy.Wanted(engine=chosen))])
    return wait_ready(control, name, shown=shown, timeout_s=LOAD_S)


def can_chat(view: DeploymentView) -> bool:
    """Whether what serves a deployment answers in a conversation."""
    return any("chat" in placed.endpoint.capabilities for placed in view.endpoints)


def first_answer(shown: Screen, reach: Reach, model: str) -> Answer:
    """Ask the model something and show what it says."""
    clock = SystemClock()
    talk = Conversation(target(reach), clock=clock)
    answer = Answer()
    shown.line()
    shown.line(shown.say("up.asking", prompt=hints.PROMPT))
    shown.line(shown.say("up.answer", model=model))
    shown.raw("  ")
    try:
        wish = Wish(model=model, max_tokens=FIRST_TOKENS, temperature=0.0)
        for piece in talk.ask(wish, [{"role": "user", "content": hints.PROMPT}], answer):
            shown.raw(visible(piece).replace("\n", "\n  "))
    finally:
        talk.close()
    shown.line()
    shown.line("  " + shown.say("up.answered", tokens=answer.tokens_out, time=span(answer.total_s)))
    return answer


def show_key(shown: Screen, settings: Settings) -> None:
    """Show the admin key of a new instance, this once."""
    path = settings.path("admin.key")
    key = path.read_text("utf-8").strip()
    shown.line()
    shown.line(shown.say("up.key", key=key, path=str(path)))


def show_hints(shown: Screen, plan: Plan, *, url: str, model: str | None) -> None:
    """Say where it is, how to try it, and how to stop it."""
    environ = environment()
    settings = plan.settings
    path = settings.path("admin.key")
    lines = [shown.say("up.url", url=url)]
    if not plan.first:
        lines.append(shown.say("up.key.stored", path=str(path)))
    if model is None:
        add = hints.command("up --model smollm2-135m --detach", settings, environ)
        lines.append(shown.say("up.next", command=add))
    else:
        curl = hints.curl(url, path, model, certificate=settings.tls_certificate)
        lines.append(shown.say("up.try", curl=curl))
        chat = hints.command(f"chat {model}", settings, environ)
        lines.append(shown.say("up.chat", command=chat))
        lines.append(shown.say("up.usage", command=hints.command("usage", settings, environ)))
    show_lines(shown, [*lines, stop_hint(shown, plan)])


def stop_hint(shown: Screen, plan: Plan) -> str:
    """How to stop it."""
    stop = "up.stop" if plan.detached else "up.stop.here"
    return shown.say(stop, command=hints.command("down", plan.settings, environment()))


def show_lines(shown: Screen, lines: Sequence[str]) -> None:
    """Show one line after the other, a blank one first."""
    for line in ("", *lines):
        shown.line(line)

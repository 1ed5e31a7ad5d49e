"""``littoral bench``: put a service under load and measure it from outside."""

import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.abc
import msgspec
from cyclopts import Parameter

from littoral.app.bench import report
from littoral.app.bench.compare import compared
from littoral.app.bench.crew import Crew, Harvest
from littoral.app.bench.html import page
from littoral.app.bench.message import Row
from littoral.app.bench.prompt import Scale
from littoral.app.bench.result import FORMAT, Result
from littoral.app.bench.run import Wish, conditions, result, tasks
from littoral.app.bench.view import Scene, lines
from littoral.app.command import table
from littoral.app.command.bench_probe import probe
from littoral.app.command.bench_wish import SHAPE, TRAFFIC, Shape, Traffic, check, wish
from littoral.app.command.chat import choose
from littoral.app.command.conversation import Conversation
from littoral.app.command.encoding import plain
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import Screen, screen
from littoral.app.command.site import Target, service
from littoral.app.system import SystemClock
from littoral.domain.errors import InvalidInput, Unavailable

VIEW_S = 0.5
INVALID = 1
INTERRUPTED = 130


@Parameter(name="*", group="What to keep")
@dataclass(frozen=True, kw_only=True)
class Keep:
    """Files that a run leaves.

    Args:
        out: Write the result as JSON; compare reads it.
        html: Write a report with plots: one file that needs no network.
        rows: Write each request as a line of JSON; --trace replays it.
    """

    out: Path | None = None
    html: Path | None = None
    rows: Path | None = None


KEEP = Keep()


def run(
    model: str | None = None,
    /,
    *,
    key_file: Path | None = None,
    traffic: Traffic = TRAFFIC,
    shape: Shape = SHAPE,
    keep: Keep = KEEP,
    reach: Reach = HERE,
) -> int:
    """Send requests on a schedule that waits for no answer, and measure from that schedule.

    Args:
        model: The model; may be left out where there is only one.
        key_file: File with the API key; LITTORAL_KEY and LITTORAL_KEY_FILE say the same.
        traffic: When requests are sent.
        shape: What they ask for.
        keep: Files to write.
        reach: Which service.
    """
    shown = screen(as_json=reach.json)
    check(traffic, shape)
    writable(keep)
    whom = service(reach, key_file)
    asked = ready(whom, model, traffic=traffic, shape=shape)
    found, harvest = measured(asked, shown)
    return _told(shown, keep, harvest, found=found)


def measured(asked: Wish, shown: Screen) -> tuple[Result, Harvest]:
    """Make a run: its result, and what the workers told."""
    here, began = conditions(asked.scale), SystemClock().wall()
    harvest = anyio.run(_crew_at_work, asked, shown)
    return result(asked, harvest, conditions=here, began=began), harvest


def compare(first: Path, second: Path, /, *, reach: Reach = HERE) -> None:
    """Put two results beside each other: what changed by more than chance.

    Args:
        first: The result of a run, as --out wrote it.
        second: That of another one.
        reach: How to answer.
    """
    shown = screen(as_json=reach.json)
    found = compared(read(first), read(second))
    shown.json(plain(found))
    for text in report.beside(found, shown.say):
        shown.line(text)


def read(file: Path) -> Result:
    """Read a result.

    Raises:
        InvalidInput: It is not there, or no result.
    """
    try:
        data = file.read_bytes()
        found = msgspec.json.decode(data, type=Result)
    except OSError as error:
        raise InvalidInput(f"{str(file)!r} cannot be read: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"{str(file)!r} is no result of littoral bench: {error}") from None
    if found.format != FORMAT:
        raise InvalidInput(f"{str(file)!r} has format {found.format}; this version reads {FORMAT}")
    return found


def writable(keep: Keep) -> None:
    """Refuse before the run what could not be written after it."""
    for name, file in (("--out", keep.out), ("--html", keep.html), ("--rows", keep.rows)):
        if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
            raise InvalidInput(f"{name} {str(file)!r}: there is no such folder, or it is one")


def ready(whom: Target, model: str | None, *, traffic: Traffic, shape: Shape) -> Wish:
    """Check everything that can be checked before the first request of the load."""
    talk = Conversation(whom, clock=SystemClock())
    try:
        name = choose(talk.models(), None) if model is None else model
        asked = wish(traffic, shape, model=name, target=whom, scale=Scale())
        scale = probe(talk, asked.plan)
    finally:
        talk.close()
    return replace(asked, scale=scale)


def _told(shown: Screen, keep: Keep, harvest: Harvest, *, found: Result) -> int:
    """Write the files, say the result; returns the exit status.

    Raises:
        Unavailable: There is no result.
    """
    if not harvest.rows:
        raise Unavailable(f"nothing was measured{harvest.lost and ': '}{harvest.lost}")
    _keep(keep, found, harvest.rows, shown=shown)
    shown.json(plain(found))
    for text in report.lines(found, shown.say):
        shown.line(text)
    if harvest.stopped:
        return INTERRUPTED
    return 0 if found.health.valid else INVALID


async def _crew_at_work(asked: Wish, shown: Screen) -> Harvest:
    """Run the workers; Ctrl-C lets them stop and keeps what they have."""
    crew = Crew(tasks(asked), clock=SystemClock())
    async with anyio.create_task_group() as group:
        await group.start(_stop_on_signal, crew)
        if shown.lively and not shown.as_json:
            group.start_soon(_watch, asked, crew.harvest, shown)
        await crew.run()
        group.cancel_scope.cancel()
    return crew.harvest


async def _stop_on_signal(
    crew: Crew, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            await crew.stop()


async def _watch(asked: Wish, harvest: Harvest, shown: Screen) -> None:
    """Draw the view again and again over itself."""
    clock, drawn = SystemClock(), 0
    while True:
        await anyio.sleep(VIEW_S)
        elapsed = clock.now() - harvest.start
        if not harvest.start or elapsed < 0:
            continue
        scene = Scene(
            plan=asked.plan,
            elapsed=min(elapsed, asked.plan.duration),
            sent=harvest.sent,
            flight=harvest.flight,
            waiting=harvest.waiting,
            rows=harvest.rows,
            cpu=max(harvest.cpu.values(), default=0.0) / max(elapsed, VIEW_S),
        )
        drawn = paint(shown, lines(scene, shown.say), over=drawn)


def paint(shown: Screen, texts: Sequence[str], *, over: int) -> int:
    """Draw lines over the last ``over`` ones, none wider than the terminal; how many they are."""
    up = f"\x1b[{over}A" if over else ""
    columns = shutil.get_terminal_size().columns - 1
    shown.ask(up + "".join(f"\x1b[2K{table.clipped(text, columns)}\n" for text in texts))
    return len(texts)


def _keep(keep: Keep, found: Result, rows: Sequence[Row], *, shown: Screen) -> None:
    if keep.out is not None:
        keep.out.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    if keep.html is not None:
        keep.html.write_text(page(found, shown.say), "utf-8")
    if keep.rows is not None:
        keep.rows.write_bytes(b"".join(report.row_lines(rows)))
    for file in filter(None, (keep.out, keep.html, keep.rows)):
        shown.note("bench.wrote", file=str(file))

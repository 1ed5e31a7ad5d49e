import io

from littoral.app.command.messages import Messages
from littoral.app.command.progress import Progress
from littoral.app.command.screen import Screen
from littoral.testing.clock import SettableClock


class Terminal(io.StringIO):
    def isatty(self):
        return True


def drawn(err):
    clock = SettableClock()
    shown = Screen(as_json=False, out=io.StringIO(), err=err, say=Messages("en"))
    return Progress(shown, "m", clock=clock), clock


def test_bytes_rate_and_time_left_are_told():
    err = Terminal()
    progress, clock = drawn(err)
    progress.show(0, 100_000_000, phase="fetching")
    clock.advance(1)
    progress.show(25_000_000, 100_000_000, phase="fetching")
    assert err.getvalue().endswith(
        "m  [######..................]  25 %  25.0 MB of 100 MB  25.0 MB/s  3.0 s left"
    )
    progress.end()
    assert err.getvalue().endswith("\r\x1b[2K")


def test_an_unknown_total_shows_bytes_and_rate_only():
    progress, clock = drawn(io.StringIO())
    progress.show(0, None, phase="fetching")
    clock.advance(2)
    progress.show(3_000_000, None, phase="fetching")
    assert progress.text(3_000_000, None, phase="fetching") == "3.0 MB  1.5 MB/s"


def test_off_a_terminal_a_line_comes_every_few_seconds():
    err = io.StringIO()
    progress, clock = drawn(err)
    for _ in range(11):
        progress.show(1, 10, phase="fetching")
        clock.advance(1)
    progress.end()
    assert len(err.getvalue().splitlines()) == 3
    assert "\x1b" not in err.getvalue()


def test_other_phases_are_named():
    assert drawn(io.StringIO())[0].text(5, 10, phase="checking") == "checking"

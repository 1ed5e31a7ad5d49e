"""A line that shows how far something has come."""

from littoral.app.command.figures import size, span
from littoral.app.command.screen import Screen
from littoral.domain.ports import Clock

BAR = 24
RATE_WINDOW_S = 5.0
PLAIN_EVERY_S = 5.0


class Progress:
    """Bytes, rate and time left; redrawn on a terminal, else a line every few seconds.

    Args:
        shown: Where to draw.
        name: What is on its way.
        clock: For the rate.
    """

    def __init__(self, shown: Screen, name: str, *, clock: Clock) -> None:
        self._shown = shown
        self._name = name
        self._clock = clock
        self._seen: list[tuple[float, int]] = []
        self._told: float | None = None
        self._drawn = False

    def show(self, done: int, total: int | None, *, phase: str) -> None:
        """Draw the present state."""
        if self._shown.as_json:
            return
        now = self._clock.now()
        self._seen = [row for row in self._seen if row[0] > now - RATE_WINDOW_S]
        self._seen.append((now, done))
        text = f"{self._name}  {self.text(done, total, phase=phase)}"
        if self._shown.lively:
            self._shown.redraw(text)
            self._drawn = True
        elif self._told is None or now - self._told >= PLAIN_EVERY_S:
            self._shown.warn(text)
            self._told = now

    def text(self, done: int, total: int | None, *, phase: str) -> str:
        """The present state in words."""
        if phase != "fetching":
            return phase
        rate = self._rate()
        pace = "" if rate is None else f"  {size(rate)}/s"
        if not total:
            return f"{size(done)}{pace}"
        filled = min(BAR, BAR * done // total)
        bar = "#" * filled + "." * (BAR - filled)
        left = "" if not rate else f"  {span(max(0, total - done) / rate)} left"
        share = min(100, 100 * done // total)
        return f"[{bar}] {share:3d} %  {size(done)} of {size(total)}{pace}{left}"

    def end(self) -> None:
        """Leave the line."""
        if self._drawn:
            self._shown.redraw("")
            self._drawn = False

    def _rate(self) -> float | None:
        (first, before), (last, now) = self._seen[0], self._seen[-1]
        if last - first < 0.2 or now <= before:
            return None
        return (now - before) / (last - first)

"""The node's clock: the system's while that can be believed, else counted up from the floor."""

from littoral.domain.floor import Doubt, Floor, begin, look, meet, raised
from littoral.domain.ports import Clock, Disk
from littoral.domain.units import Micros, Seconds

PATH = "floor"
KEEP_EVERY = Seconds(600.0)


class FloorClock:
    """A ``Clock`` whose wall time never falls below what has certainly passed.

    Args:
        system: The machine's clocks.
        disk: Where the floor is kept over a restart.
    """

    def __init__(self, system: Clock, disk: Disk) -> None:
        self._system = system
        self._disk = disk
        self._begun: Floor | None = None

    @property
    def _floor(self) -> Floor:
        """What is known; read from disk at the first look."""
        if self._begun is None:
            system = self._system
            self._begun = begin(self._kept(), system_us=system.wall(), now=system.now())
        return self._begun

    @property
    def doubt(self) -> Doubt:
        """Why the system's clock is not believed; empty where it is."""
        return self._floor.doubt

    def now(self) -> Seconds:
        """Monotonic time."""
        return self._system.now()

    def wall(self) -> Micros:
        """UTC, as far as it is known."""
        system = self._system
        self._begun, wall = look(self._floor, system_us=system.wall(), now=system.now())
        return wall

    def skew_us(self) -> int:
        """What must be added to the system's clock."""
        return self.wall() - self._system.wall()

    def passed(self, known_us: Micros) -> None:
        """A time that has certainly passed, such as when a snapshot was issued."""
        system = self._system.wall()
        self._begun = raised(self._floor, known_us, system_us=system, now=self.now())

    def meet(self, server_us: Micros, took_s: Seconds = Seconds(0.0)) -> None:
        """Control said what time it is, at most so many seconds ago."""
        self._begun = meet(self._floor, server_us=server_us, now=self.now(), took_s=took_s)
        self.keep()

    def keep(self) -> None:
        """Write the floor down. Raises ``StorageFull``."""
        self._disk.write(PATH, b"%d\n" % self._floor.least(self.now()))

    def _kept(self) -> Micros:
        text = (self._disk.read(PATH) or b"0").strip()
        return Micros(int(text)) if text.isdigit() and len(text) < 20 else Micros(0)

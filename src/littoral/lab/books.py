"""Books: what everybody who uses a fleet has seen, to be compared with what its nodes kept."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from littoral.domain.deferral import Deferral
from littoral.domain.ports import Ledger
from littoral.lab.hop import Hops
from littoral.lab.promise import Promises
from littoral.lab.purse import Purse
from littoral.lab.witness import Witness


@dataclass(frozen=True, slots=True)
class Books:
    """Requests, uses of limits, deferred requests and calls between nodes."""

    witness: Witness = field(default_factory=Witness)
    purse: Purse = field(default_factory=Purse)
    promises: Promises = field(default_factory=Promises)
    hops: Hops = field(default_factory=Hops)

    def wrong(self, ledger: Ledger, kept: Iterable[Sequence[Deferral]]) -> Iterator[str]:
        """Everything that is wrong, once all is healed.

        Args:
            ledger: What control has booked.
            kept: The deferred requests of each node.
        """
        yield from self.witness.compare(ledger)
        yield from self.purse.wrong
        yield from self.hops.wrong
        yield from (f"the call {name} never ended" for name in self.hops.under_way)
        yield from self.promises.compare(kept, ledger)

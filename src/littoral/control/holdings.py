"""Holdings: what each node holds of each limit, as it is on disk."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import msgspec

from littoral.domain.ids import NodeId
from littoral.domain.ports import State
from littoral.domain.share import Holding

PREFIX: Final = "share/"
EPOCH: Final = "shares-of-epoch"
_ROW: Final = msgspec.json.Decoder(dict[NodeId, Holding])


class Holdings:
    """Records by the names of shares and by nodes; changed in memory, then written.

    Args:
        state: Where they are.
        epoch: Of the state; where it is another one than theirs, they are older or newer than the
            rest, and no node is sure to hold what they say.

    Attributes:
        rows: The records.
        restored: Whether that is so, and ``doubt`` was not called yet.
    """

    def __init__(self, state: State, *, epoch: int) -> None:
        self._state = state
        self._epoch = epoch
        self._kept = dict(state.values(PREFIX))
        self.rows: dict[str, dict[NodeId, Holding]] = {
            name.removeprefix(PREFIX): _ROW.decode(row) for name, row in self._kept.items()
        }
        kept = state.value(EPOCH)
        self.restored = kept is not None and int(kept) != epoch
        for row in self.rows.values() if self.restored else ():
            row.update({node: replace(each, sure=False) for node, each in row.items()})
        if kept is None:
            self._agree()

    def doubt(self, names: Iterable[str], unheard: Iterable[NodeId]) -> None:
        """Doubt what older data say, and that who is not on record holds nothing; written at once.

        Args:
            names: Of all limits that the restored state knows.
            unheard: Nodes that have not said yet what they hold.
        """
        nodes = tuple(unheard)
        for name in {*names, *self.rows}:
            row = self.rows.setdefault(name, {})
            for node in nodes:
                row.setdefault(node, Holding(sure=False))
        self.write(tuple(self.rows))
        self._agree()
        self.restored = False

    def _agree(self) -> None:
        """Note that records and state are of one time."""
        self._state.put_value(EPOCH, str(self._epoch).encode())

    def write(self, names: Iterable[str]) -> None:
        """Write down what changed: most divisions change nothing."""
        values: dict[str, bytes | None] = {}
        for name in names:
            row = {n: each for n, each in self.rows.get(name, {}).items() if not each.empty}
            if not row:
                self.rows.pop(name, None)
            value = msgspec.json.encode(row) if row else None
            if value != self._kept.get(PREFIX + name):
                values[PREFIX + name] = value
        if values:
            self._state.put_values(values)
            for name, value in values.items():
                if value is None:
                    self._kept.pop(name, None)
                else:
                    self._kept[name] = value

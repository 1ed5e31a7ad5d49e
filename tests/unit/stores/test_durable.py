"""What a disk refuses has a name."""

import errno
import os

import pytest

from littoral.domain.errors import StorageFull
from littoral.stores.durable import room_for


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "no room"), (errno.EDQUOT, "no room"), (errno.EROFS, "read-only")],
)
def test_a_disk_that_is_full_or_read_only_is_named(number, said):
    with pytest.raises(StorageFull, match=said), room_for("'a.db'"):
        raise OSError(number, os.strerror(number))


def test_other_troubles_are_what_they_are():
    with pytest.raises(OSError, match="Input"), room_for("'a.db'"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

"""``littoral engine KIND``: one engine's process, started by its driver."""

import sys
from collections.abc import Callable
from typing import cast

from littoral.app.handed import failed
from littoral.app.registry import CHILDREN, load
from littoral.domain.errors import InvalidInput, LittoralError


def main() -> int:
    """Serve one model until killed; the parent's one line on standard input says which."""
    try:
        if len(sys.argv) != 3:
            raise InvalidInput("this role is started by a node, not by hand")
        child = cast("Callable[[bytes], None]", load(CHILDREN, sys.argv[2], what="engine process"))
    except LittoralError as error:
        return failed(error)
    child(sys.stdin.buffer.readline())
    return 0

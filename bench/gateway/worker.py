"""One gateway process as the node starts it, for the bench and for tests on real sockets.

worker.py LISTENER_FD LINK_FD FLIGHT_FILE CONTROL_SOCKET
"""

import mmap
import pathlib
import socket
import sys

from node import RATE

from littoral.app.codec import pack, unpack
from littoral.app.system import SystemClock, SystemEntropy
from littoral.gateway.wire.loop import run
from littoral.testing.quota import bound_whole, quota_table

ROWS = 8


def main(listener: str, link: str, *paths: str) -> int:
    """Serve on the inherited sockets."""
    flight, control = paths
    with pathlib.Path(flight).open("r+b") as file:
        table = memoryview(mmap.mmap(file.fileno(), 0))
    quota = quota_table(rows=ROWS)
    rows = {str(row): row for row in range(ROWS)}
    bound_whole(quota, dict.fromkeys(rows, RATE), rows)
    return run(
        listener=socket.socket(fileno=int(listener)),
        link=socket.socket(fileno=int(link)),
        flight=table,
        quota=quota,
        node="bench",
        control_socket=control,
        pack=pack,
        unpack=unpack,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        drain_s=30.0,
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""A child that never outlives the process that started it."""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1


def tie(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends.

    Args:
        parent: The process id of the parent, as it told us; when it is gone already, so are we.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)

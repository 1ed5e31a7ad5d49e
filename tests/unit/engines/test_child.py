"""A child of an engine driver never outlives the process that started it."""

import os
import select
import signal
import subprocess
import sys

PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())], stdout=-1)
print(child.pid, child.stdout.readline().decode(), end="", flush=True)
time.sleep(60)
"""
CHILD = """
import sys, time
from littoral.engines.child.lifeline import tie
tie(int(sys.argv[1]))
print("tied", flush=True)
time.sleep(60)
"""


def test_a_child_dies_with_its_parent():
    command = [sys.executable, "-c", PARENT, CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid, word = parent.stdout.readline().split()
        assert word == b"tied"
        child = os.pidfd_open(int(pid))
        try:
            parent.kill()
            ended, _, _ = select.select([child], [], [], 15)
        finally:
            os.close(child)
    assert ended


def test_a_child_whose_parent_is_gone_already_ends_at_once():
    done = subprocess.run([sys.executable, "-c", CHILD, "1"], stdout=subprocess.PIPE, check=False)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == b""

"""A base installation stays small: measured on a fresh one, in the slow suite."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_base_installation_is_within_its_limits(root):
    script = root / "bench" / "footprint" / "run.py"
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    measured = json.loads((root / "bench" / "out" / "footprint.json").read_text())["base install"]
    assert measured["packages"] <= 45
    assert measured["mb"] <= 120

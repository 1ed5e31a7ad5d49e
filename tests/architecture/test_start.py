"""The command line, and a node, start without loading what they do not need."""

import subprocess
import sys
from pathlib import Path

import pytest

from littoral.app.system import environment

SOURCE = Path(__file__).parents[2] / "src"
HEAVY = {
    *("alembic", "anyio", "apsw", "asyncio", "cryptography", "fastapi", "httpx2", "msgspec"),
    *("pydantic", "sqlalchemy", "starlette", "uvicorn", "uvloop", "yaml"),
}
PROGRAM = """
import sys
from littoral.app.command.root import main
status = main(sys.argv[1:])
print(",".join(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr)
sys.exit(status)
"""


def loaded_by(*words, program=PROGRAM):
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        env=dict(environment()) | {"PYTHONPATH": str(SOURCE), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr.strip().splitlines()[-1].split(",")


NODE = """
import sys
import littoral.app.role.node
print(",".join(sorted(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words",
    [["--help"], ["version"], ["keys", "--help"], ["bench", "--help"], ["up", "--help"], []],
    ids=" ".join,
)
def test_the_first_pages_load_nothing_heavy(words):
    loaded = loaded_by(*words)
    assert "cyclopts" in loaded
    assert HEAVY.intersection(loaded) == set()


def test_a_node_loads_no_http_client_before_it_downloads():
    loaded = loaded_by(program=NODE)
    assert "littoral.node.serve" in loaded
    assert {"httpx2", "urllib.request"}.intersection(loaded) == set()

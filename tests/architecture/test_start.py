"""The command line starts without loading what it does not need."""

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


def loaded_by(*words):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env=dict(environment()) | {"PYTHONPATH": str(SOURCE), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr.strip().splitlines()[-1].split(",")


@pytest.mark.parametrize(
    "words",
    [["--help"], ["version"], ["keys", "--help"], ["bench", "--help"], ["up", "--help"], []],
    ids=" ".join,
)
def test_the_first_pages_load_nothing_heavy(words):
    loaded = loaded_by(*words)
    assert "cyclopts" in loaded
    assert HEAVY.intersection(loaded) == set()

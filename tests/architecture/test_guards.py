"""Each import contract bites: one forbidden import, planted in a copy of the product, breaks it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLANTS: dict[str, dict[str, str]] = {
    "flow": {"domain/planted.py": "import littoral.gateway"},
    "acyclic": {
        "node/planted_a.py": "import littoral.node.planted_b",
        "node/planted_b.py": "import littoral.node.planted_a",
    },
    "pure": {"trust/planted.py": "import secrets"},
    "secretless": {"placement/planted.py": "import littoral.trust"},
    "adapters": {"engines/planted.py": "import littoral.placement"},
    "drivers": {
        "engines/planted_a.py": "import littoral.engines.planted_b",
        "engines/planted_b.py": "",
    },
    "wiring": {"gateway/planted.py": "import littoral.stores.outbox"},
    "twins": {"app/planted.py": "import littoral.testing"},
    "laboratory": {"app/planted.py": "import littoral.lab.fleet"},
    "solutions": {"solutions/planted.py": "import littoral.gateway"},
    "light": {"stores/outbox.py": "import sqlalchemy"},
    "structured": {"node/planted.py": "import asyncio"},
}


def lint(root: Path, source: Path, contract: str) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).with_name("lint-imports")
    command = [tool, "--config", root / "pyproject.toml", "--contract", contract, "--no-cache"]
    environment = {"PYTHONPATH": str(source), "COLUMNS": "200"}
    return subprocess.run(
        command, env=environment, cwd=source, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def copy(root, tmp_path_factory):
    target = tmp_path_factory.mktemp("guards") / "src"
    shutil.copytree(root / "src", target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


@pytest.fixture
def planted(copy, request):
    """The copy with the plants of one contract in it, taken out again afterwards."""
    before: dict[Path, str | None] = {}
    for name, text in PLANTS[request.param].items():
        path = copy / "littoral" / name
        before[path] = path.read_text(encoding="utf-8") if path.exists() else None
        path.write_text(f"{before[path] or ''}\n{text}\n", encoding="utf-8")
    yield request.param, copy
    for path, text in before.items():
        if text is None:
            path.unlink()
        else:
            path.write_text(text, encoding="utf-8")


def test_every_contract_has_a_plant(contracts):
    assert set(PLANTS) == set(contracts)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("planted", PLANTS, indirect=True)
def test_a_planted_import_breaks_its_contract(planted, root):
    contract, source = planted
    result = lint(root, source, contract)
    assert re.search(r"0 kept, 1 broken", result.stdout), result.stdout + result.stderr


@pytest.mark.timeout(60)
def test_without_a_plant_the_contracts_are_kept(copy, root, contracts):
    result = lint(root, copy, "flow")
    assert "1 kept, 0 broken" in result.stdout, result.stdout + result.stderr
    assert len(contracts) == len(PLANTS)

"""What a node's processes import from others is a short list, and a reviewed one."""

import json
import subprocess
import sys

LIMIT = 20
REVIEWED = {
    "anyio",
    "apsw",
    "cffi",
    "cryptography",
    "httpcore2",
    "httptools",
    "httpx2",
    "h11",
    "idna",
    "msgspec",
    "sniffio",
    "truststore",
    "typing-extensions",
    "uvloop",
    "websockets",
}
SCRIPT = """
import importlib, json, pkgutil, sys
from importlib.metadata import packages_distributions
before = set(sys.modules)
for name in ("gateway", "node", "telemetry"):
    package = importlib.import_module("littoral." + name)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
importlib.import_module("littoral.stores.outbox")
tops = {name.partition(".")[0] for name in set(sys.modules) - before}
owners = packages_distributions()
print(json.dumps(sorted({owner.lower() for top in tops for owner in owners.get(top, ())})))
"""


def distributions(root) -> set[str]:
    environment = {"PYTHONPATH": str(root / "src")}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    return {name.replace("_", "-") for name in json.loads(run.stdout)} - {"littoral"}


def test_a_node_imports_only_the_reviewed_distributions(root):
    imported = distributions(root)
    assert sorted(imported - REVIEWED) == []
    assert len(imported) <= LIMIT

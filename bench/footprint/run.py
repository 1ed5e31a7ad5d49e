"""Size of a fresh base installation: packages and megabytes, no engine, no compiled bytecode.

Builds the wheel, installs it into a new virtual environment from the index that pip is configured
with, and counts. Writes ``bench/out/footprint.json``.
"""

import json
import platform
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
OUT = ROOT / "bench" / "out" / "footprint.json"
LIMIT_PACKAGES = 45
LIMIT_MB = 120.0
NOT_OURS = {"pip", "setuptools", "wheel"}
COUNT = """
import json
from importlib.metadata import distributions
sizes = {}
for found in distributions():
    files = [found.locate_file(name) for name in found.files or ()]
    kept = [f for f in files if f.suffix != ".pyc" and f.is_file()]
    sizes[found.metadata["Name"].lower()] = sum(f.stat().st_size for f in kept)
print(json.dumps(sizes))
"""


def build(target: Path) -> Path:
    """Build the wheel into ``target`` with the build backend that is installed here."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
    subprocess.run([*command, str(target), str(ROOT)], check=True, capture_output=True)
    return next(target.glob("littoral-*.whl"))


def install(wheel: Path, target: Path) -> Path:
    """Install the wheel into a new virtual environment; returns its interpreter."""
    venv.create(target, with_pip=True)
    python = target / "bin" / "python"
    command = [python, "-m", "pip", "--disable-pip-version-check", "install", "--no-compile", "-qq"]
    subprocess.run([*command, wheel], check=True)
    return python


def sizes_of(python: Path) -> Mapping[str, int]:
    """Bytes of each distribution that an interpreter sees."""
    run = subprocess.run([python, "-c", COUNT], check=True, capture_output=True, text=True)
    found: dict[str, int] = json.loads(run.stdout)
    return {name: size for name, size in found.items() if name not in NOT_OURS}


def main() -> int:
    """Measure, print the table, write the file; 1 where a limit is passed."""
    with tempfile.TemporaryDirectory(prefix="littoral-footprint-") as folder:
        wheel = build(Path(folder, "dist"))
        wheel_mb = wheel.stat().st_size / 1e6
        sizes = sizes_of(install(wheel, Path(folder, "venv")))
    megabytes = sum(sizes.values()) / 1e6
    largest = sorted(sizes.items(), key=lambda entry: -entry[1])[:10]
    result = {
        "base install": {
            "packages": len(sizes),
            "packages_limit": LIMIT_PACKAGES,
            "packages_ratio": round(len(sizes) / LIMIT_PACKAGES, 3),
            "mb": round(megabytes, 1),
            "mb_limit": LIMIT_MB,
            "mb_ratio": round(megabytes / LIMIT_MB, 3),
            "wheel_mb": round(wheel_mb, 3),
            "largest_mb": {name: round(size / 1e6, 1) for name, size in largest},
            "machine": f"{platform.machine()}, Python {platform.python_version()}",
        }
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"packages   {len(sizes):6}   of at most {LIMIT_PACKAGES}")
    print(f"megabytes  {megabytes:6.1f}   of at most {LIMIT_MB:.0f}")
    for name, size in largest:
        print(f"  {name:24} {size / 1e6:6.1f}")
    return int(len(sizes) > LIMIT_PACKAGES or megabytes > LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())

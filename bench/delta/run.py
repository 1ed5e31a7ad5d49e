"""How large deltas and adapters of a really fine-tuned model are, and what making them takes.

Makes the pair with ``tune.py`` unless FOLDER has one (that needs torch; ``--python`` names one that
has it), then measures with the product's own code.

    python bench/delta/run.py FOLDER --python /path/to/venv/bin/python --source SOURCE.gguf
"""

import argparse
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

from littoral.stores.rebuild import mapped
from littoral.trust.delta import apply, compare, make, read_head

HERE = Path(__file__).parent
OUT = HERE.parent / "out" / "delta.json"


def digest(view: memoryview) -> bytes:
    """SHA-256."""
    return hashlib.sha256(view).digest()


def measure(parent: Path, child: Path, level: int) -> dict[str, object]:
    """Make a delta, apply it, and compare."""
    with mapped(str(parent)) as old, mapped(str(child)) as new:
        digests = (digest(old), digest(new))
        began = time.process_time()
        packed = b"".join(make(old, new, digests=digests, level=level))
        made_s = time.process_time() - began
        began = time.process_time()
        head, at = read_head(memoryview(packed), parent_size=len(old), most=len(new))
        result = hashlib.sha256()
        for piece in apply(head, old, [packed[at:]]):
            result.update(piece)
        applied_s = time.process_time() - began
        if result.digest() != digests[1]:
            sys.exit("the delta does not give the child")
        hows = [each.how for each in compare(old, new)]
        return {
            "level": level,
            "bytes": len(new),
            "delta": len(packed),
            "share": round(len(packed) / len(new), 4),
            "tensors": {how: hows.count(how) for how in ("copy", "xor", "new")},
            "make_cpu_s": round(made_s, 1),
            "apply_cpu_s": round(applied_s, 1),
        }


def main() -> None:
    """Measure, print, and write ``bench/out/delta.json``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--source", type=Path)
    given = parser.parse_args()
    if not (given.folder / "tuned.json").exists():
        command = [given.python, str(HERE / "tune.py"), str(given.source), str(given.folder)]
        subprocess.run([*command, "--text", str(HERE.parent.parent / "docs")], check=True)
    found: dict[str, object] = {"tuned": json.loads((given.folder / "tuned.json").read_text())}
    for name in ("Q8_0", "Q4_0"):
        pair = [given.folder / f"{kind}-{name}.gguf" for kind in ("parent", "child")]
        found[name] = [measure(*pair, level) for level in (3, 12, 19)]
    whole = (given.folder / "parent-Q8_0.gguf").stat().st_size
    adapter = (given.folder / "adapter.gguf").stat().st_size
    found["adapter"] = {"bytes": adapter, "share_of_q8_0": round(adapter / whole, 4)}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(found, indent=2))
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()

"""Report code that nothing uses: vulture, told what a record is.

A field of a class is read by whoever decodes or encodes it, and an attribute set on somebody else's
object is read by its owner; a command is called by its name in the table of commands. vulture sees
none of these. Everything else that it finds is reported.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from vulture import Vulture

ROOT = Path(__file__).parents[1]


def excused(tree: ast.Module) -> Iterator[int]:
    """Lines of fields, and of attributes set on objects other than ``self``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from (entry.lineno for entry in node.body if isinstance(entry, ast.AnnAssign))
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(is_foreign(target) for target in targets):
                yield node.lineno


def called_by_name(tree: ast.Module) -> Iterator[str]:
    """Functions that a string names, as ``module:function``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            match = re.fullmatch(r"[\w.]+:(\w+)", node.value)
            if match:
                yield match[1]


def is_foreign(target: ast.expr) -> bool:
    """Whether it is ``x.y`` with an ``x`` that is not ``self``."""
    return isinstance(target, ast.Attribute) and ast.unparse(target.value).split(".")[0] != "self"


def main() -> int:
    """Print what is unused; 1 where there is any."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    options = cast("dict[str, list[str]]", tomllib.loads(text)["tool"]["vulture"])
    finder = Vulture(
        ignore_names=options["ignore_names"], ignore_decorators=options["ignore_decorators"]
    )
    finder.scavenge([str(ROOT / path) for path in options["paths"]], exclude=options["exclude"])
    trees = {
        path: ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "src").rglob("*.py")
    }
    named = {name for tree in trees.values() for name in called_by_name(tree)}
    fields = {(path, line) for path, tree in trees.items() for line in excused(tree)}
    unused = [
        f"{item.filename.relative_to(ROOT)}:{item.first_lineno}: {item.message}"
        for item in finder.get_unused_code(min_confidence=60)
        if (item.filename, item.first_lineno) not in fields and item.name not in named
    ]
    print("\n".join(unused) or "Dead code: none")
    return int(bool(unused))


if __name__ == "__main__":
    sys.exit(main())

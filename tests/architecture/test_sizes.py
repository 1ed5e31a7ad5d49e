"""Files, classes and functions stay small; modules are named after what they hold."""

import ast
from collections.abc import Iterator

FILE, CLASS, FUNCTION = 400, 250, 50
LONGER: dict[str, tuple[int, str]] = {}
"""``"gateway/wire/x.py::C.f": (lines, "ADR NNNN")``: functions of the wire code, where measured."""
BANNED = {"utils", "util", "common", "misc", "manager", "base", "core", "lib", "shared", "helpers"}


def length(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the signature to the end, without the docstring."""
    lines = node.end_lineno - node.lineno + 1
    if ast.get_docstring(node) is None:
        return lines
    return lines - (node.body[0].end_lineno - node.body[0].lineno + 1)


def definitions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
            yield from definitions(node, f"{prefix}{node.name}.")
        else:
            yield from definitions(node, prefix)


def functions(sources) -> Iterator[tuple[str, int]]:
    for source in sources:
        for name, node in definitions(source.tree):
            if not isinstance(node, ast.ClassDef):
                yield f"{source.name}::{name}", length(node)


def test_no_file_is_longer_than_400_lines(sources, helpers):
    long = {s.name: len(s.lines) for s in [*sources, *helpers] if len(s.lines) > FILE}
    assert long == {}


def test_no_class_is_longer_than_250_lines(sources):
    long = {
        f"{source.name}::{name}": length(node)
        for source in sources
        for name, node in definitions(source.tree)
        if isinstance(node, ast.ClassDef) and length(node) > CLASS
    }
    assert long == {}


def test_no_function_is_longer_than_50_lines_without_a_measured_reason(sources):
    long = {
        name: lines
        for name, lines in functions(sources)
        if lines > LONGER.get(name, (FUNCTION, ""))[0]
    }
    assert long == {}


def test_every_longer_function_still_needs_its_entry_and_has_its_record(sources, root):
    lengths = dict(functions(sources))
    stale = [name for name in LONGER if lengths.get(name, 0) <= FUNCTION]
    records = {path.name[:4] for path in (root / "docs" / "adr").glob("[0-9]*.md")}
    missing = [name for name, (_, record) in LONGER.items() if record[-4:] not in records]
    assert (stale, missing) == ([], [])


def test_no_module_is_named_after_a_dumping_ground(sources):
    assert [s.name for s in sources if BANNED.intersection(s.module.split("."))] == []


def test_a_package_file_holds_one_docstring_and_nothing_else(sources):
    packages = [s for s in sources if s.name.endswith("__init__.py")]
    full = [s.name for s in packages if len(s.tree.body) != 1 or ast.get_docstring(s.tree) is None]
    assert full == []

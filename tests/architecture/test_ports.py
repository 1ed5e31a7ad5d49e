"""Each port has its contract suite, and each noun one definition."""

import ast
import re

SMALLEST = 3
DIFFERENT = {
    ("domain/endpoint.py::Address", "engines/openai.py::Place"),
    ("domain/resource.py::Resource", "domain/view.py::Document"),
}
"""Same names, other meanings: an unresolved URL is no address, an unread document no resource."""


def ports(root) -> list[str]:
    homes = ("books.py", "clock.py", "failpoint.py", "ports.py")
    files = [root / "src/littoral/domain" / name for name in homes]
    return [
        node.name
        for file in files
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
    ]


def test_every_port_is_named_by_a_contract_suite(root):
    suites = [p.read_text(encoding="utf-8") for p in (root / "tests/contract").glob("test_*.py")]
    missing = [
        port for port in ports(root) if not any(re.search(rf"\b{port}\b", s) for s in suites)
    ]
    assert missing == []


def fields(node: ast.ClassDef) -> frozenset[str]:
    annotated = [entry for entry in node.body if isinstance(entry, ast.AnnAssign)]
    return frozenset(entry.target.id for entry in annotated if isinstance(entry.target, ast.Name))


def test_no_two_classes_hold_the_same_fields(sources):
    seen: dict[frozenset[str], list[str]] = {}
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef) and len(fields(node)) >= SMALLEST:
                seen.setdefault(fields(node), []).append(f"{source.name}::{node.name}")
    twice = {tuple(names) for names in seen.values() if len(names) > 1}
    assert twice == DIFFERENT

"""What the architecture tests look at: the tree's files, read and parsed once a process."""

import ast
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BUILT = {"__pycache__", "_build", "out", "build", "dist"}


@dataclass(frozen=True)
class Source:
    """One Python file: where it is, its text, its syntax tree."""

    path: Path
    name: str

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def module(self) -> str:
        """Dotted name below ``littoral``; empty for the root package."""
        parts = Path(self.name).with_suffix("").parts
        return ".".join(part for part in parts if part != "__init__")


def python_files(folder: Path) -> list[Source]:
    found = sorted(folder.rglob("*.py"))
    return [
        Source(path, path.relative_to(folder).as_posix())
        for path in found
        if BUILT.isdisjoint(path.relative_to(folder).parts)
    ]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def sources() -> list[Source]:
    """Every module of the product, named from ``src/littoral`` on."""
    return python_files(ROOT / "src" / "littoral")


@pytest.fixture(scope="session")
def helpers() -> list[Source]:
    """Every Python file outside the product: tests, benchmarks, documentation."""
    return [
        Source(source.path, source.path.relative_to(ROOT).as_posix())
        for folder in ("tests", "bench", "docs")
        for source in python_files(ROOT / folder)
    ]


@pytest.fixture(scope="session")
def project() -> dict[str, Any]:
    """The parsed ``pyproject.toml``."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def contracts(project) -> dict[str, dict[str, Any]]:
    """The import contracts by id."""
    return {contract["id"]: contract for contract in project["tool"]["importlinter"]["contracts"]}

"""One version, in two places."""

import tomllib
from pathlib import Path

from littoral.app.version import VERSION


def test_the_build_says_the_packages_version() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION

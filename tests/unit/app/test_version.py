"""One version, in two places."""

import tomllib
from pathlib import Path

from littoral.app.version import REQUIRES, VERSION
from littoral.domain.release import order_of


def test_the_build_says_the_packages_version() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION


def test_a_build_may_be_gone_back_from_to_a_version_that_is_no_newer() -> None:
    assert order_of(REQUIRES) <= order_of(VERSION)

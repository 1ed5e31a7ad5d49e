"""Versions, names of wheels, and which of them a machine needs."""

import pytest

from littoral.domain.errors import InvalidInput
from littoral.domain.release import (
    Host,
    Release,
    WheelFile,
    checked_version,
    fits,
    may_follow,
    name_of,
    needed,
    order_of,
)

LINUX = Host(python=(3, 11), system="linux", machine="x86_64")
ALPINE = Host(python=(3, 11), system="linux", machine="aarch64", musl=True)
MAC = Host(python=(3, 12), system="macosx", machine="arm64")


def wheel(name):
    return WheelFile(name=name, digest="sha256:" + "0" * 64, size=1)


@pytest.mark.parametrize("version", ["0.2.0", "1", "0.2.0rc1", "0.2.0.dev3", "1.0+site.4"])
def test_a_version_is_taken_as_it_is(version):
    assert checked_version(version) == version


@pytest.mark.parametrize("version", ["", "../x", "v1", "1/2", "1 2", "1" * 65])
def test_what_is_no_version_is_refused(version):
    with pytest.raises(InvalidInput, match="no version such as"):
        checked_version(version)


def test_a_long_text_that_is_no_version_is_refused_without_trying_all_its_parts():
    with pytest.raises(InvalidInput, match="no version such as"):
        checked_version("0" + "a" * 62 + "_")  # a pattern that goes back takes years over it


def test_versions_are_sorted_by_their_numbers():
    in_order = ["0", "0.1.9", "0.1.10rc1", "0.1.10", "0.2.0", "1.0+site.1"]
    assert sorted(set(in_order), key=order_of) == in_order
    assert order_of("1.0.0") == order_of("1")
    assert order_of("odd") < order_of("0.1")


def test_a_wheel_is_named_by_its_distribution_and_version():
    assert name_of("SQLAlchemy_X-2.1.9-cp311-cp311-manylinux_2_17_x86_64.whl") == (
        "sqlalchemy-x",
        "2.1.9",
    )
    assert name_of("a-1-2-py3-none-any.whl") == ("a", "1")
    for odd in ("a.whl", "../a-1-py3-none-any.whl", "a-1-py3-none-any.zip", "a" * 200):
        with pytest.raises(InvalidInput, match="not the name of a wheel"):
            name_of(odd)


@pytest.mark.parametrize(
    ("name", "host", "does"),
    [
        ("a-1-py3-none-any.whl", LINUX, True),
        ("a-1-py2.py3-none-any.whl", ALPINE, True),
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", LINUX, True),
        ("a-1-cp39-abi3-manylinux_2_17_x86_64.whl", LINUX, True),
        ("a-1-cp312-abi3-manylinux_2_17_x86_64.whl", LINUX, False),
        ("a-1-cp312-cp312-manylinux_2_17_x86_64.whl", LINUX, False),
        ("a-1-cp39-cp39-manylinux_2_17_x86_64.whl", LINUX, False),
        ("a-1-cp311-cp311-musllinux_1_2_x86_64.whl", LINUX, False),
        ("a-1-cp311-cp311-musllinux_1_2_aarch64.whl", ALPINE, True),
        ("a-1-cp311-cp311-manylinux_2_17_aarch64.whl", LINUX, False),
        ("a-1-cp312-cp312-macosx_11_0_universal2.whl", MAC, True),
        ("a-1-cp312-cp312-macosx_11_0_arm64.whl", MAC, True),
        ("a-1-cp312-cp312-linux_arm64.whl", MAC, False),
        ("nonsense", LINUX, False),
    ],
)
def test_a_wheel_fits_the_machine_that_its_name_says(name, host, does):
    assert fits(name, host) is does


def test_only_what_fits_and_is_not_there_is_needed():
    release = Release(
        version="0.2.0",
        wheels=(
            wheel("littoral-0.2.0-py3-none-any.whl"),
            wheel("anyio-4.0-py3-none-any.whl"),
            wheel("apsw-3.1-cp311-cp311-manylinux_2_17_x86_64.whl"),
            wheel("apsw-3.1-cp311-cp311-manylinux_2_17_aarch64.whl"),
        ),
    )
    found = needed(release, LINUX, {"anyio": "4.0", "apsw": "3.0"})
    assert [each.name for each in found] == [
        "littoral-0.2.0-py3-none-any.whl",
        "apsw-3.1-cp311-cp311-manylinux_2_17_x86_64.whl",
    ]


def test_a_release_without_our_wheel_for_a_machine_is_refused():
    release = Release(version="0.2.0", wheels=(wheel("littoral-0.1.0-py3-none-any.whl"),))
    with pytest.raises(InvalidInput, match=r"0\.2\.0 has no wheel of Littoral for Python 3\.11"):
        needed(release, LINUX, {})


def test_a_release_is_taken_only_from_where_one_may_go_back_to():
    release = Release(version="0.3.0", requires="0.2.0")
    assert may_follow("0.2.0", release)
    assert may_follow("0.2.5", release)
    assert not may_follow("0.1.9", release)

"""Versions side by side, and how the next start finds the current one."""

import errno
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from littoral.app import versions
from littoral.app.role.supervisor import command, words_of
from littoral.app.settings import Settings
from littoral.app.venv import VenvInstaller, carry, wanted
from littoral.app.version import VERSION
from littoral.domain.errors import Damaged, InvalidInput, StorageFull, UnknownName
from littoral.domain.release import Failure
from littoral.testing.failpoints import ArmedFailpoints, Crash


@pytest.fixture
def failpoints() -> ArmedFailpoints:
    return ArmedFailpoints()


@pytest.fixture
def installer(tmp_path, failpoints) -> VenvInstaller:
    return VenvInstaller(str(tmp_path), failpoints)


def other(data: Path, version: str = "9.9.9") -> None:
    """A version that is here, in name."""
    place = data / "versions" / version
    place.mkdir(parents=True)
    (place / "littoral-whole").touch()


def test_the_first_version_is_a_link_to_where_it_was_installed(tmp_path):
    assert versions.prepare(str(tmp_path)) == VERSION
    assert (tmp_path / "versions/current").resolve() == Path(sys.prefix).resolve()
    assert versions.is_current(str(tmp_path))
    assert versions.prepare(str(tmp_path)) == VERSION


def test_the_launcher_is_a_program_of_its_own(tmp_path):
    versions.prepare(str(tmp_path))
    words = versions.launch_words(str(tmp_path), ["--port", "1"])
    assert words[1:3] == ["-I", "-S"]
    assert words[-3:] == ["up", "--port", "1"]
    check = f"compile(open({words[3]!r}).read(), 'x', 'exec')"
    done = subprocess.run([*words[:3], "-c", check], check=False)
    assert done.returncode == 0


def test_a_switch_names_the_next_version_and_puts_it_on_trial(tmp_path, installer):
    other(tmp_path)
    installer.switch("9.9.9", within_s=60.0)
    assert versions.named_by(tmp_path / "versions/current") == "9.9.9"
    assert installer.trial() is None  # that is for the version of the trial to see
    assert not versions.is_current(str(tmp_path))
    assert installer.running == VERSION


def test_a_switch_that_a_crash_follows_is_on_disk(tmp_path, installer, failpoints):
    other(tmp_path)
    failpoints.arm("update.switched", Crash())
    with pytest.raises(Crash):
        installer.switch("9.9.9", within_s=60.0)
    assert failpoints.passes["update.switched"] == 1
    assert versions.named_by(tmp_path / "versions/current") == "9.9.9"
    assert (tmp_path / "versions/trial.json").exists()


def test_what_is_not_here_is_not_switched_to(installer):
    with pytest.raises(UnknownName, match="not installed"):
        installer.switch("9.9.9", within_s=60.0)
    with pytest.raises(InvalidInput, match="no version"):
        installer.has("../..")


def test_a_trial_of_the_running_version_is_confirmed_once(tmp_path, installer):
    versions.prepare(str(tmp_path))
    installer.switch(VERSION, within_s=60.0)
    trial = installer.trial()
    assert trial is not None
    assert (trial.previous, trial.within_s) == (VERSION, 60.0)
    installer.confirm()
    assert installer.trial() is None


@pytest.mark.anyio
async def test_what_ran_before_is_known_once_a_version_has_proved_itself(tmp_path, installer):
    assert installer.previous() == ""
    other(tmp_path)
    other(tmp_path, "9.9.8")
    versions.prepare(str(tmp_path))
    trial = {"version": VERSION, "previous": "9.9.9", "within_s": 60.0, "starts": 1}
    (tmp_path / "versions/trial.json").write_text(json.dumps(trial))
    assert installer.previous() == ""
    installer.confirm()
    assert installer.previous() == "9.9.9"
    installer.confirm()
    assert await installer.prune(()) == ["9.9.8"]
    assert installer.has("9.9.9")


def test_a_proof_does_not_fail_where_what_ran_before_cannot_be_noted(tmp_path, installer):
    versions.prepare(str(tmp_path))
    folder = tmp_path / "versions"
    versions.point(folder / "previous", "9.9.7")
    trial = {"version": VERSION, "previous": "9.9.9", "within_s": 60.0, "starts": 1}
    (folder / "trial.json").write_text(json.dumps(trial))
    (folder / "previous.new").mkdir()  # so that no link can be made
    installer.confirm()
    assert installer.trial() is None
    assert installer.previous() == ""


def test_a_failure_is_told_until_it_is_forgotten(tmp_path, installer):
    assert installer.failure() is None
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions/failed.json").write_text('{"version": "9.9.9", "why": "it broke"}')
    assert installer.failure() == Failure(version="9.9.9", why="it broke")
    installer.forget()
    assert installer.failure() is None
    (tmp_path / "versions/failed.json").write_text("{")
    assert installer.failure() is None


@pytest.mark.anyio
async def test_only_versions_that_nobody_names_are_removed(tmp_path, installer):
    assert await installer.prune(()) == []
    versions.prepare(str(tmp_path))
    other(tmp_path, "9.9.8")
    other(tmp_path, "9.9.9")
    assert await installer.prune({"9.9.9"}) == ["9.9.8"]
    assert installer.has("9.9.9")
    assert installer.has(VERSION)


@pytest.mark.anyio
async def test_a_version_is_removed_unless_it_runs_or_was_installed_by_hand(tmp_path, installer):
    versions.prepare(str(tmp_path))
    other(tmp_path)
    for version in ("9.9.9", VERSION, "9.9.9"):
        await installer.remove(version)
    assert not installer.has("9.9.9")
    assert installer.has(VERSION)


@pytest.mark.anyio
async def test_what_cannot_be_made_leaves_nothing_behind(tmp_path, installer):
    wheel = tmp_path / ("0" * 64)
    wheel.write_bytes(b"PK")
    broken = {"littoral-9.9.9-py3-none-any.whl": str(wheel)}

    def fails(_place: Path, _wheels: object) -> None:
        (tmp_path / "versions/9.9.9").mkdir()
        raise Damaged("pip failed")

    installer._make = fails
    with pytest.raises(Damaged):
        await installer.install("9.9.9", broken)
    assert not (tmp_path / "versions/9.9.9").exists()
    with pytest.raises(InvalidInput, match="installed by hand"):
        await installer.install(VERSION, broken)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, StorageFull), (errno.EACCES, Damaged)]
)
async def test_a_disk_that_refuses_a_version_is_an_error_of_the_order(
    tmp_path, installer, number, error
):
    def fails(_place: Path, _wheels: object) -> None:
        (tmp_path / "versions/9.9.9").mkdir()
        raise OSError(number, os.strerror(number))

    installer._make = fails
    with pytest.raises(error, match=r"version 9\.9\.9"):
        await installer.install("9.9.9", {})
    assert not (tmp_path / "versions/9.9.9").exists()


def test_wheels_of_one_version_share_a_line_of_what_is_wanted():
    found = wanted(
        {
            "a_b-1.0-cp38-abi3-manylinux_2_28_x86_64.whl": "/blobs/11",
            "a_b-1.0-cp311-abi3-manylinux_2_28_x86_64.whl": "/blobs/22",
            "c-2-py3-none-any.whl": "/blobs/33",
        }
    )
    assert found.splitlines() == [
        "a-b==1.0 --hash=sha256:22 --hash=sha256:11",
        "c==2 --hash=sha256:33",
    ]


@pytest.mark.anyio
async def test_a_version_that_does_not_say_its_name_fails_its_check(tmp_path, installer):
    versions.prepare(str(tmp_path))
    program = tmp_path / "versions/9.9.9/bin/python"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho \'{"version": "0.0.1"}\'\n')
    program.chmod(0o755)
    with pytest.raises(Damaged, match="says that it is"):
        await installer.check("9.9.9")
    for odd in ("no json", "[]"):
        program.write_text(f"#!/bin/sh\necho '{odd}'\n")
        with pytest.raises(Damaged, match="says that it is"):
            await installer.check("9.9.9")
    program.write_text("#!/bin/sh\necho broken >&2; exit 1\n")
    with pytest.raises(Damaged, match="broken"):
        await installer.check("9.9.9")


def test_what_is_used_is_linked_and_no_program_is(tmp_path):
    found = importlib.metadata.distribution("msgspec")
    carry(tmp_path / "packages", {"msgspec": found})
    source = Path(str(found.locate_file("msgspec/__init__.py")))
    target = tmp_path / "packages/msgspec/__init__.py"
    assert target.read_bytes() == source.read_bytes()
    same = os.stat(target).st_dev == os.stat(source).st_dev  # noqa: PTH116  of both
    assert (os.stat(target).st_ino == os.stat(source).st_ino) is same  # noqa: PTH116  of both
    assert not (tmp_path / "bin").exists()


def test_it_is_known_what_the_running_version_uses(installer):
    found = installer.installed()
    assert found["msgspec"] == importlib.metadata.version("msgspec")
    assert "pytest" not in found
    assert installer.host().python == sys.version_info[:2]


def test_another_current_version_is_started_in_place_of_this_one(tmp_path):
    settings = Settings(data_dir=str(tmp_path), tls_certificate="/c.pem", tls_key="/k.pem")
    assert "littoral.app.role.supervisor" in command(settings)
    other(tmp_path)
    versions.prepare(str(tmp_path))
    versions.point(tmp_path / "versions/current", "9.9.9")
    found = command(settings)
    assert found[3] == str(tmp_path / "versions/launcher.py")
    assert found[-4:] == ["--tls-certificate", "/c.pem", "--tls-key", "/k.pem"]
    assert words_of(settings)[:2] == ["--data-dir", str(tmp_path)]


def test_only_the_launcher_that_waits_is_a_launcher(tmp_path):
    assert not versions.is_launched(str(tmp_path))
    (tmp_path / "run").mkdir()
    (tmp_path / "run/launcher").write_text(str(os.getppid()))
    assert versions.is_launched(str(tmp_path))

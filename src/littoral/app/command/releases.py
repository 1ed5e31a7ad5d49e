"""``littoral releases``: versions of Littoral that nodes may be taken to."""

from collections.abc import Sequence
from pathlib import Path

from littoral.app.command.encoding import plain
from littoral.app.command.figures import size
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.app.command.site import admin
from littoral.client.updates import Updates
from littoral.domain.errors import InvalidInput
from littoral.domain.release import Release, name_of

MOST_BYTES = 44 * 1024 * 1024
"""Of a wheel: as text in a request it is a third longer."""


def add(*wheels: Path, reach: Reach = HERE) -> None:
    """Send wheels to control, and make a release of them: one of Littoral must be among them.

    Args:
        wheels: Files; give those of Littoral's dependencies, too, where a node may lack them.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    contents = [(path.name, _read(path)) for path in wheels]
    if not contents:
        raise InvalidInput("give the wheels of a release, such as ./dist/*.whl")
    with admin(reach) as control:
        updates = Updates(control)
        sent = [updates.upload(name, data) for name, data in contents]
        release = updates.add(sent)
    shown.note("releases.added", version=release.version, count=len(release.wheels))
    shown.json(plain(release))


def _read(path: Path) -> bytes:
    name_of(path.name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise InvalidInput(f"{path} has {size(len(data))}; a wheel may have {size(MOST_BYTES)}")
    return data


def list_releases(*, reach: Reach = HERE) -> None:
    """List releases, the bytes of their wheels, and from which version on they may be taken.

    Args:
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        releases = Updates(control).releases()
    shown.json({"releases": plain(releases)})
    if not releases:
        shown.note("releases.none")
        return
    shown.rows(("RELEASE", "REQUIRES", "WHEELS", "SIZE"), _rows(releases), right=(2, 3))


def _rows(releases: Sequence[Release]) -> list[tuple[str, ...]]:
    return [
        (
            each.version,
            each.requires,
            str(len(each.wheels)),
            size(sum(wheel.size for wheel in each.wheels)),
        )
        for each in releases
    ]


def remove(version: str, /, *, reach: Reach = HERE) -> None:
    """Forget a release that is not on its way; nodes that run it are left as they are.

    Args:
        version: Which.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        gone = Updates(control).remove(version)
    shown.note("releases.removed", version=gone.version)
    shown.json({"removed": gone.version})

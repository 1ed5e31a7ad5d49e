"""The instance that a command speaks to: its address, its key, its admin client."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from littoral.app.command.local import running
from littoral.app.command.reach import Reach, settings_of
from littoral.app.system import environment
from littoral.client.admin import Admin
from littoral.domain.errors import InvalidInput, Unavailable


@dataclass(frozen=True, kw_only=True)
class Target:
    """Whom to call, and with which key."""

    url: str
    key: str


def target(reach: Reach) -> Target:
    """Find the instance: the one named by options or variables, else the local one.

    The local admin key is never sent to an address that was given by hand.

    Raises:
        Unavailable: No address was given and nothing runs here.
        InvalidInput: The address is malformed, or there is no key for it.
    """
    if reach.url is not None:
        return Target(url=_checked(reach.url), key=_key(reach, None))
    settings = settings_of(reach)
    here = running(settings)
    if here is None:
        raise Unavailable(
            f"Littoral is not running in {settings.data_dir}; start it with: littoral up "
            "(or name another instance with --url and --key)"
        )
    return Target(url=here.url, key=_key(reach, settings.path("admin.key")))


def admin(reach: Reach) -> Admin:
    """The admin client for the instance."""
    found = target(reach)
    return Admin(found.url, found.key)


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidInput(f"--url {url!r} must look like https://host or http://127.0.0.1:8080")
    return url.rstrip("/").removesuffix("/v1")


def _key(reach: Reach, file: Path | None) -> str:
    key = _given_key(reach, file)
    if not key.isascii() or not key.isprintable():
        raise InvalidInput("the API key is not one line of plain letters: check what --key names")
    return key


def _given_key(reach: Reach, file: Path | None) -> str:
    if reach.key is not None:
        return reach.key.strip()
    given = environment().get("LITTORAL_KEY_FILE")
    place = Path(given).expanduser() if given else file
    if place is None:
        raise InvalidInput("--url needs a key: add --key, or set LITTORAL_KEY or LITTORAL_KEY_FILE")
    try:
        return place.read_text("utf-8").strip()
    except FileNotFoundError:
        raise InvalidInput(f"there is no key in {place}; give one with --key") from None
    except PermissionError:
        raise InvalidInput(
            f"{place} may not be read by this user; run as its owner, or give a key with --key"
        ) from None

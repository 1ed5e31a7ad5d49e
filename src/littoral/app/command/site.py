"""The instance that a command speaks to: its address, its key, its admin client."""

import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from littoral.app.certificate import trust_in, trust_of
from littoral.app.command.local import Running, running
from littoral.app.command.reach import Reach, settings_of
from littoral.app.system import environment
from littoral.client.admin import Admin
from littoral.domain.errors import InvalidInput, Unavailable


@dataclass(frozen=True, kw_only=True)
class Target:
    """Whom to call, with which key, and whom to trust to be it.

    ``certificate`` and ``authority`` are the files that ``trusted`` was made of; empty where none.
    """

    url: str
    key: str
    trusted: ssl.SSLContext | bool = True
    certificate: str = ""
    authority: str = ""


def target(reach: Reach) -> Target:
    """Find the instance: the one named by options or variables, else the local one.

    The local admin key is never sent to an address that was given by hand.

    Raises:
        Unavailable: No address was given and nothing runs here.
        InvalidInput: The address is malformed, or there is no key for it.
    """
    if reach.url is not None:
        return _named(reach, _key(reach, None))
    settings = settings_of(reach)
    here = running(settings)
    if here is None:
        raise Unavailable(
            f"Littoral is not running in {settings.data_dir}; start it with: littoral up "
            "(or name another instance with --url and --key)"
        )
    key = _key(reach, settings.path("admin.key"))
    return _here(here, key)


def service(reach: Reach, key_file: Path | None) -> Target:
    """Any OpenAI-compatible service: like ``target``, but one named by hand may need no key.

    Args:
        reach: Which instance.
        key_file: A file with the key; before all other places.

    Raises:
        Unavailable: No address was given and nothing runs here.
        InvalidInput: The address is malformed, or a key cannot be read.
    """
    if key_file is not None:
        key = _whole(_read(key_file.expanduser()))
        return replace(target(reach), key=key) if reach.url is None else _named(reach, key)
    nowhere = reach.key is None and not environment().get("LITTORAL_KEY_FILE")
    if reach.url is not None and nowhere:
        return _named(reach, "")
    return target(reach)


def _named(reach: Reach, key: str) -> Target:
    """The instance at the address that was given."""
    authority = "" if reach.authority is None else str(reach.authority.expanduser())
    return Target(
        url=_checked(reach.url or ""), key=key, trusted=authorities(reach), authority=authority
    )


def _here(here: Running, key: str) -> Target:
    """The instance on this host."""
    return Target(
        url=here.url, key=key, trusted=trust_in(here.certificate), certificate=here.certificate
    )


def admin(reach: Reach) -> Admin:
    """The admin client for the instance."""
    found = target(reach)
    return Admin(found.url, found.key, trusted=found.trusted)


def authorities(reach: Reach) -> ssl.SSLContext | bool:
    """Trust the certificates in ``--authority``, else the system's."""
    return True if reach.authority is None else trust_of(str(reach.authority.expanduser()))


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
    return _whole(_given_key(reach, file))


def _whole(key: str) -> str:
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
    return _read(place)


def _read(place: Path) -> str:
    try:
        return place.read_text("utf-8").strip()
    except FileNotFoundError:
        raise InvalidInput(f"there is no key in {place}; give one with --key") from None
    except PermissionError:
        raise InvalidInput(
            f"{place} may not be read by this user; run as its owner, or give a key with --key"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the key file {place} cannot be read: {error}") from None

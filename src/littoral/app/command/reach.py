"""Options that every command has, and what they lead to: settings, address, key."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from littoral.app.settings import Settings, Value, load
from littoral.app.system import environment


@Parameter(name="*", group="Options of every command")
@dataclass(frozen=True, kw_only=True)
class Reach:
    """Which instance a command speaks to, and how it answers.

    Args:
        json: Print the result as JSON.
        data_dir: Folder of the local instance; LITTORAL_DATA_DIR says the same.
        url: Address of another instance, such as https://models.example.
        key: API key; without it the local instance's admin.key is read.
        authority: PEM file of the certificates to trust for --url, instead of the system's.
    """

    json: bool = False
    data_dir: Path | None = None
    url: Annotated[str | None, Parameter(env_var="LITTORAL_URL")] = None
    key: Annotated[str | None, Parameter(env_var="LITTORAL_KEY", show_env_var=True)] = None
    authority: Annotated[Path | None, Parameter(env_var="LITTORAL_AUTHORITY")] = None


HERE = Reach()


def settings_of(reach: Reach, **flags: Value | None) -> Settings:
    """The settings of the local instance, with flags put over them.

    Raises:
        InvalidInput: A setting is unknown or out of its range.
    """
    return load({"data_dir": absolute(reach.data_dir), **flags}, environment())


def absolute(path: Path | None) -> str | None:
    """A path as it stays wherever the program runs later; None stays None."""
    return None if path is None else str(path.expanduser().absolute())

"""Settings: everything that may be configured, read once at start and handed on as one value.

A flag wins over a ``LITTORAL_*`` variable, that over ``littoral.toml``, that over the default.
Standard library only: the command line reads this before anything heavy is loaded.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal, TypeAlias, cast, get_args

from littoral.app.doors import check_files, check_host, check_proxy, doors_of, peer_door
from littoral.domain.errors import InvalidInput
from littoral.domain.ids import checked_name

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
TlsVersion: TypeAlias = Literal["1.2", "1.3"]
Value: TypeAlias = str | int | float | bool | tuple[str, ...]

PREFIX = "LITTORAL_"
CLIENT_VARIABLES = (
    "LITTORAL_AUTHORITY",
    "LITTORAL_CONFIG",
    "LITTORAL_KEY",
    "LITTORAL_KEY_FILE",
    "LITTORAL_LANG",
    "LITTORAL_URL",
)
"""Variables of the command line itself: where the settings file is, whom the client calls and how,
and the language of its sentences."""
SOCKET_PATH_LIMIT = 107
"""Longest path of a unix socket on Linux, bytes."""
LONGEST_SOCKET = "run/control.sock"


RANGES: Mapping[str, tuple[int, int]] = {
    "port": (0, 65535),
    "flight_slots": (64, 65536),
    "gateway_workers": (1, 64),
    "drain_s": (0, 600),
    "responses_mib": (1, 1_048_576),
    "deferred_mib": (1, 1_048_576),
    "deferred_count": (1, 1_000_000),
    "deferred_keep_h": (1, 8760),
    "outbox_mib": (16, 1_048_576),
    "commit_window_ms": (0, 1000),
    "crash_limit": (0, 1000),
    "restart_max_s": (0, 3600),
}
"""Least and greatest value of each number."""


def default_data_dir(environ: Mapping[str, str]) -> str:
    """``$XDG_DATA_HOME/littoral``, or ``~/.local/share/littoral``."""
    home = environ.get("XDG_DATA_HOME") or str(Path(environ.get("HOME", "/")) / ".local/share")
    return str(Path(home) / "littoral")


def default_file(environ: Mapping[str, str]) -> Path:
    """``$LITTORAL_CONFIG``, else ``littoral/littoral.toml`` in the user's configuration folder."""
    given = environ.get("LITTORAL_CONFIG")
    if given:
        return Path(given)
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "/")) / ".config")
    return Path(home) / "littoral/littoral.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this instance runs. Each field is a flag, a ``LITTORAL_*`` variable and a TOML key."""

    data_dir: str = field(
        metadata={"help": "Folder that holds everything this instance keeps; made with mode 0700."}
    )
    host: str = field(
        default="127.0.0.1",
        metadata={
            "help": "IP address to listen on; loopback, unless there is a certificate or "
            "insecure_behind_proxy is set."
        },
    )
    port: int = field(
        default=8080, metadata={"help": "TCP port to listen on; 0 takes any free one."}
    )
    insecure_behind_proxy: bool = field(
        default=False,
        metadata={
            "help": "Allow a non-loopback address without a certificate: only behind a proxy "
            "that serves TLS."
        },
    )
    tls_certificate: str = field(
        default="",
        metadata={
            "help": "PEM file of the certificate to serve TLS with, its chain behind it; read "
            "anew when it changes."
        },
    )
    tls_key: str = field(
        default="", metadata={"help": "PEM file of that certificate's private key."}
    )
    tls_least: TlsVersion = field(
        default="1.3", metadata={"help": "Least version of TLS that is served: 1.3, or 1.2."}
    )
    name: str = field(
        default="local", metadata={"help": "Name of this node, as people will see it."}
    )
    nodes_listen: str = field(
        default="",
        metadata={
            "help": "IP address and port, such as 0.0.0.0:8444, where machines join over TLS and "
            "nodes fetch what they need; empty: none may join."
        },
    )
    nodes_url: str = field(
        default="",
        metadata={
            "help": "What joining machines are told to dial, such as https://cloud.example:8444; "
            "by default the address of nodes_listen."
        },
    )
    session_listen: str = field(
        default="",
        metadata={
            "help": "IP address and port, such as 0.0.0.0:8445, where joined nodes keep their "
            "session, by certificate on both sides; empty: none."
        },
    )
    peer_listen: str = field(
        default="",
        metadata={
            "help": "IP address on the site's network and port, such as 192.168.1.20:8446, where a "
            "joined node answers other nodes by certificate on both sides; empty: nowhere."
        },
    )
    proxy: str = field(
        default="",
        metadata={
            "help": "HTTP proxy through which a joined node reaches control, such as "
            "http://proxy.example:3128; empty: none, whatever the environment says."
        },
    )
    log_level: LogLevel = field(
        default="info",
        metadata={"help": "Least level that is logged: debug, info, warning, error."},
    )
    flight_slots: int = field(
        default=4096,
        metadata={
            "help": "Most requests under way or not yet synced at one time, of each gateway."
        },
    )
    outbox_mib: int = field(
        default=2048,
        metadata={
            "help": "Most that rows waiting for control may take on disk, MiB; never more than a "
            "tenth of the disk."
        },
    )
    commit_window_ms: int = field(
        default=0,
        metadata={
            "help": "Milliseconds that usage records wait for others to share a sync with: 200 "
            "spares flash memory."
        },
    )
    serve_unmetered: bool = field(
        default=False,
        metadata={
            "help": "Whether requests without a budget are served, and not counted, while usage "
            "cannot be recorded."
        },
    )
    responses_mib: int = field(
        default=1024,
        metadata={"help": "Most that stored responses may take on disk, MiB."},
    )
    deferred_mib: int = field(
        default=512,
        metadata={"help": "Most that deferred requests and their answers may take, MiB."},
    )
    deferred_count: int = field(
        default=10_000,
        metadata={"help": "Most deferred requests that may wait at one time."},
    )
    deferred_keep_h: int = field(
        default=72,
        metadata={"help": "Hours that a deferred request's answer is kept once it has ended."},
    )
    gateway_workers: int = field(
        default=1,
        metadata={
            "help": "Gateway processes on the public port; one for each core that they may use."
        },
    )
    drain_s: int = field(
        default=10, metadata={"help": "Seconds that open requests may take to end at a stop."}
    )
    crash_limit: int = field(
        default=5,
        metadata={
            "help": "Crashes of one engine in five minutes after which it is left alone for two; "
            "0 never gives up."
        },
    )
    restart_max_s: float = field(
        default=60.0,
        metadata={"help": "Longest wait before a process that ended is started again, seconds."},
    )
    pass_environment: tuple[str, ...] = field(
        default=(),
        metadata={"help": "Names of further environment variables to hand to the own processes."},
    )
    hf_endpoint: str = field(
        default="https://huggingface.co", metadata={"help": "Where hf: sources are fetched from."}
    )
    hf_token_file: str = field(
        default="", metadata={"help": "File that holds the token for hf: sources."}
    )
    modelscope_endpoint: str = field(
        default="https://modelscope.cn",
        metadata={"help": "Where modelscope: sources are fetched from."},
    )
    modelscope_token_file: str = field(
        default="", metadata={"help": "File that holds the token for modelscope: sources."}
    )
    source_networks: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "Networks that are not public and yet may hold model sources, such as "
            "10.1.0.0/16; only there may a hub be asked by plain http."
        },
    )
    failpoints: str = field(
        default="",
        metadata={"help": "For tests: places where a process shall die, fail or wait."},
    )

    def path(self, *parts: str) -> Path:
        """A path inside the data folder."""
        return Path(self.data_dir, *parts)

    def to_json(self) -> str:
        """One line that ``from_json`` reads back: how a parent hands settings to a child."""
        return json.dumps(asdict(self))


FIELDS: Mapping[str, Field[Value]] = {entry.name: entry for entry in fields(Settings)}
"""Every setting by name, in order; ``metadata["help"]`` says what it does."""


def load(
    flags: Mapping[str, Value | None], environ: Mapping[str, str], file: Path | None = None
) -> Settings:
    """Read the settings from all their places.

    Args:
        flags: What the command line gave, by field name; None means not given.
        environ: The process's environment.
        file: The TOML file; by default ``default_file``, which need not exist.

    Raises:
        InvalidInput: A name is unknown (the message lists the known ones), or a value is not
            allowed.
    """
    values: dict[str, Value] = {"data_dir": default_data_dir(environ)}
    asked_for = bool(file or environ.get("LITTORAL_CONFIG"))
    values |= _from_file(default_file(environ) if file is None else file, must_exist=asked_for)
    values |= _from_environ(environ)
    values |= {name: value for name, value in flags.items() if value is not None}
    return _checked(values, where="a flag")


def from_json(text: str) -> Settings:
    """Read what ``Settings.to_json`` wrote."""
    return _checked(cast("dict[str, Value]", json.loads(text)), where="the handed settings")


def _refuse_unknown(names: Iterable[str], known: Iterable[str], *, where: str) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        listed = ", ".join(sorted(known))
        raise InvalidInput(f"unknown setting {unknown[0]!r} in {where}; known: {listed}")


def _from_file(file: Path, *, must_exist: bool) -> dict[str, Value]:
    import tomllib  # noqa: PLC0415  only the command line reads files

    try:
        table = cast("dict[str, Value]", tomllib.loads(file.read_text("utf-8")))
    except FileNotFoundError:
        if must_exist:
            raise InvalidInput(f"there is no settings file {str(file)!r}") from None
        return {}
    except (OSError, ValueError) as error:
        raise InvalidInput(f"the settings file {str(file)!r} cannot be read: {error}") from error
    _refuse_unknown(table, FIELDS, where=str(file))
    return table


def _from_environ(environ: Mapping[str, str]) -> dict[str, Value]:
    given = {name: text for name, text in environ.items() if name.startswith(PREFIX)}
    known = {PREFIX + name.upper(): name for name in FIELDS}
    _refuse_unknown(given, (*known, *CLIENT_VARIABLES), where="the environment")
    return {known[name]: text for name, text in given.items() if name in known}


def _checked(values: Mapping[str, Value], *, where: str) -> Settings:
    _refuse_unknown(values, FIELDS, where=where)
    typed = {name: _typed(name, value) for name, value in values.items()}
    settings = Settings(**typed)  # pyright: ignore[reportArgumentType]  each value has its field's type by _typed
    _check_ranges(settings)
    return settings


def _typed(name: str, value: Value) -> Value:
    wanted = FIELDS[name].type
    if wanted is bool:
        return _boolean(name, value)
    if wanted is int:
        return _integer(name, value)
    if wanted is float:
        return _number(name, value)
    if wanted in {str, LogLevel, TlsVersion}:
        if not isinstance(value, str):
            raise InvalidInput(f"{name} must be text, not {value!r}", param=name)
        return value
    names = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        raise InvalidInput(f"{name} must be a list of names, not {value!r}", param=name)
    return tuple(str(entry) for entry in names)


def _boolean(name: str, value: Value) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise InvalidInput(f"{name} must be true or false, not {value!r}", param=name)


def _integer(name: str, value: Value) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    raise InvalidInput(f"{name} must be a whole number, not {value!r}", param=name)


def _number(name: str, value: Value) -> float:
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return float(value)
    except ValueError:
        pass  # said below, as for every value that is no number
    raise InvalidInput(f"{name} must be a number, not {value!r}", param=name)


def _check_ranges(settings: Settings) -> None:
    for name, (low, high) in RANGES.items():
        value = cast("float", getattr(settings, name))
        if not low <= value <= high:
            raise InvalidInput(f"{name} must be {low} to {high}, not {value}", param=name)
    if settings.log_level not in get_args(LogLevel):
        known = ", ".join(get_args(LogLevel))
        raise InvalidInput(
            f"no log level {settings.log_level!r}; known: {known}", param="log_level"
        )
    checked_name(settings.name, what="node")
    if not Path(settings.data_dir).is_absolute():
        raise InvalidInput(
            f"data_dir must be absolute, not {settings.data_dir!r}", param="data_dir"
        )
    longest = os.fsencode(settings.path(LONGEST_SOCKET))
    if len(longest) > SOCKET_PATH_LIMIT:
        room = SOCKET_PATH_LIMIT - len(LONGEST_SOCKET) - 1
        length = len(longest) - len(LONGEST_SOCKET) - 1
        raise InvalidInput(
            f"data_dir is too long for the sockets in it: {length} bytes, at most {room}; "
            "choose a shorter one: --data-dir or LITTORAL_DATA_DIR",
            param="data_dir",
        )
    _check_tls(settings)
    safe = bool(settings.tls_certificate or settings.insecure_behind_proxy)
    check_host(settings.host, safe=safe)
    doors_of(settings.nodes_listen, settings.nodes_url, settings.session_listen)
    peer_door(settings.peer_listen)
    check_proxy(settings.proxy)


def _check_tls(settings: Settings) -> None:
    if settings.tls_least not in get_args(TlsVersion):
        known = ", ".join(get_args(TlsVersion))
        raise InvalidInput(
            f"tls_least must be one of {known}, not {settings.tls_least!r}", param="tls_least"
        )
    check_files(tls_certificate=settings.tls_certificate, tls_key=settings.tls_key)

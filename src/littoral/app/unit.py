"""A systemd unit that starts this instance with the machine, and keeps it running."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from littoral.app import versions
from littoral.app.settings import Settings
from littoral.domain.errors import Denied, Unavailable

UNIT = "littoral-node.service"
SYSTEM = Path("/etc/systemd/system")
SYSTEMCTL = "systemctl"


def unit(settings: Settings, words: Sequence[str], *, user: str) -> str:
    """The text of the unit.

    Args:
        settings: Whose data folder.
        words: Further words of ``littoral up``.
        user: Who runs it.
    """
    start = shlex.join(_start(settings, words))
    return f"""\
[Unit]
Description=Littoral node in {settings.data_dir}
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
User={user}
ExecStart={start}
Restart=always
RestartSec=2
RestartPreventExitStatus=2
KillMode=mixed
TimeoutStopSec={settings.drain_s + 20}
LimitNOFILE=65536
NoNewPrivileges=true
ProtectSystem=full
PrivateTmp=true

[Install]
WantedBy=multi-user.target
"""


def _start(settings: Settings, words: Sequence[str]) -> list[str]:
    """The launcher, which starts whatever version is current; this one where there is none."""
    if versions.is_kept():
        return versions.launch_words(settings.data_dir, words)
    return [sys.executable, "-m", "littoral", "up", *words]


def install(text: str, *, folder: Path = SYSTEM, systemctl: str = SYSTEMCTL) -> list[str]:
    """Write the unit, and enable and start it; returns the commands that did so.

    Raises:
        Denied: This user may not.
        Unavailable: There is no systemd here, or it refuses; the message says what it said.
    """
    if os.geteuid() != 0:
        raise Denied("--install writes to /etc/systemd/system: run it as root, or use --print-unit")
    if not folder.is_dir():
        raise Unavailable(f"there is no {folder}: this machine has no systemd; use --print-unit")
    (folder / UNIT).write_text(text, "utf-8")
    commands = [[systemctl, "daemon-reload"], [systemctl, "enable", "--now", UNIT]]
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  fixed words
        except OSError as error:
            raise Unavailable(f"{systemctl} cannot be run: {error.strerror}") from error
        if done.returncode:
            raise Unavailable(f"{shlex.join(command)} failed: {done.stderr.strip()}")
    return [f"write {folder / UNIT}", *(shlex.join(command) for command in commands)]

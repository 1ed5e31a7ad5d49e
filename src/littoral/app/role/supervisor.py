"""The supervisor alone, which ``littoral up`` becomes: no command line is left in its memory."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from littoral.app import supervisor, versions
from littoral.app.settings import Settings, from_json
from littoral.domain.errors import LittoralError

REFUSED = 2
INTERRUPTED = 130


def command(settings: Settings) -> list[str]:
    """The words that start it. Settings hold no secrets, so they may be seen in a process list.

    Where another version is the current one of this data folder, it is that which is started.
    """
    if not versions.is_current(settings.data_dir):
        return versions.launch_words(settings.data_dir, words_of(settings))
    return [sys.executable, "-m", __name__, settings.to_json()]


def words_of(settings: Settings) -> list[str]:
    """What ``littoral up`` of any version is told, so that it serves at the same place."""
    words = ["--data-dir", settings.data_dir]
    words += ["--host", settings.host, "--port", str(settings.port)]
    if settings.tls_certificate:
        words += ["--tls-certificate", settings.tls_certificate, "--tls-key", settings.tls_key]
    return words


def again(settings: Settings) -> NoReturn:
    """Become what is current now, or leave that to the launcher where it waits for us."""
    if versions.is_launched(settings.data_dir):
        sys.exit(supervisor.EX_AGAIN)
    words = versions.launch_words(settings.data_dir, words_of(settings))
    os.execv(words[0], words)  # noqa: S606  our own interpreter and launcher


def main(words: Sequence[str]) -> int:
    """Run until a signal; returns the exit status.

    Args:
        words: The settings, as ``Settings.to_json`` writes them.
    """
    try:
        settings = from_json(words[0])
        code = supervisor.run(settings)
        return again(settings) if code == supervisor.EX_AGAIN else code
    except LittoralError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

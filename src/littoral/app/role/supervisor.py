"""The supervisor alone, which ``littoral up`` becomes: no command line is left in its memory."""

import sys
from collections.abc import Sequence

from littoral.app import supervisor
from littoral.app.settings import Settings, from_json
from littoral.domain.errors import LittoralError

REFUSED = 2
INTERRUPTED = 130


def command(settings: Settings) -> list[str]:
    """The words that start it. Settings hold no secrets, so they may be seen in a process list."""
    return [sys.executable, "-m", __name__, settings.to_json()]


def main(words: Sequence[str]) -> int:
    """Run until a signal; returns the exit status.

    Args:
        words: The settings, as ``Settings.to_json`` writes them.
    """
    try:
        return supervisor.run(from_json(words[0]))
    except LittoralError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Cases of one client: each says ok, fail or skip on a line of its own.

A client's own environment holds nothing of Littoral: this file needs the standard library only.
"""

import os
import sys
import traceback

URL = os.environ["LITTORAL_TEST_URL"]
KEY = os.environ["LITTORAL_TEST_KEY"]
MODEL = os.environ["LITTORAL_TEST_MODEL"]
UNABLE = 422
"""The status that says: no engine of this model can do it."""


class Skipped(Exception):
    """The case does not apply; the message says why."""


class Cases:
    """Collects cases and runs them in order."""

    def __init__(self):
        self._cases = []

    def __call__(self, function):
        """Add a case; its name is the function's, with spaces."""
        self._cases.append(function)
        return function

    def run(self):
        """Run all; returns the exit status: 0 when none failed."""
        failed = 0
        for function in self._cases:
            name = function.__name__.replace("_", " ")
            try:
                function()
            except Skipped as reason:
                say("skip", name, str(reason))
            except Exception as error:  # noqa: BLE001  a client may raise anything, and each case is told
                if getattr(error, "status_code", None) == UNABLE:
                    say("skip", name, said(error))
                    continue
                failed += 1
                say("fail", name, f"{type(error).__name__}: {error}")
                traceback.print_exc()
            else:
                say("ok", name, "")
        return 1 if failed else 0


def said(error):
    """What a refusal says, without the request's own id: so the page changes with what it shows."""
    body = getattr(error, "body", None) or {}
    return body.get("error", body).get("message") or str(error)


def say(verdict, name, note):
    """Print one verdict, as the runner reads it."""
    line = " ".join(note.split())[:300]
    sys.stdout.write(f"case\t{verdict}\t{name}\t{line}\n")
    sys.stdout.flush()


def expect(condition, what):
    """Fail the case unless the condition holds."""
    if not condition:
        raise AssertionError(what)

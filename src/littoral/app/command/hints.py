"""Commands that work as printed: for this program, this data folder, this address."""

import json
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from littoral.app.settings import Settings, default_data_dir

PROMPT = "What is the capital of France?"


def program(argv0: str, executable: str, *, found: str | None) -> str:
    """How to call this program again from a shell.

    Args:
        argv0: What it was called as.
        executable: The Python that runs it.
        found: What a shell finds under ``littoral``.
    """
    called = Path(argv0)
    if called.name == "littoral":
        if found is not None and Path(found).resolve() == called.resolve():
            return "littoral"
        return shlex.quote(str(called.absolute()))
    return f"{shlex.quote(executable)} -m littoral"


def this_program() -> str:
    """How to call this very program again."""
    return program(sys.argv[0], sys.executable, found=shutil.which("littoral"))


def command(words: str, settings: Settings, environ: Mapping[str, str]) -> str:
    """A command line of this program for the same data folder."""
    usual = environ.get("LITTORAL_DATA_DIR") or default_data_dir(environ)
    there = "" if settings.data_dir == usual else f" --data-dir {shlex.quote(settings.data_dir)}"
    return f"{this_program()} {words}{there}"


def curl(url: str, key_file: Path, model: str, *, certificate: str = "") -> str:
    """A first request for a shell; the key is read from its file, as is whom to trust."""
    body = json.dumps(
        {
            "model": model,
            "temperature": 0,
            "messages": [{"role": "user", "content": PROMPT}],
        },
        ensure_ascii=False,
    )
    trusted = f"--cacert {shlex.quote(certificate)} " if certificate else ""
    return (
        f"curl {trusted}{url}/v1/chat/completions "
        f'-H "Authorization: Bearer $(cat {shlex.quote(str(key_file))})" '
        f"-H 'Content-Type: application/json' -d {shlex.quote(body)}"
    )

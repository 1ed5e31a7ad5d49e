"""llm-comply: three wire formats, held against their specifications."""

import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from cases import KEY, MODEL, URL, say

FORMATS = (
    ("openai-chat", f"{URL}/v1", ()),
    ("open-responses", f"{URL}/v1", ()),
    ("anthropic", f"{URL}/v1", ("-H", "anthropic-version:2023-06-01")),
)
VERDICTS = {"passed": "ok", "failed": "fail", "skipped": "skip"}


def main():
    """Run each format; its verdicts become cases."""
    failed = 0
    for form, url, more in FORMATS:
        command = [str(pathlib.Path(sys.executable).parent / "llm-comply"), "--format", form]
        command += ["-u", url, "-m", MODEL, "--json", "--timeout", "30", *more]
        environ = {**os.environ, "OPENRESPONSES_API_KEY": KEY}
        done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
        try:
            results = json.loads(done.stdout)["results"]
        except (ValueError, KeyError, TypeError):
            failed += 1
            say("fail", f"{form}: it ran", done.stdout[-200:] + done.stderr[-200:])
            continue
        for each in results:
            verdict = VERDICTS.get(each["status"], "fail")
            failed += verdict == "fail"
            say(verdict, f"{form}: {each['id']}", json.dumps(each.get("errors") or ""))
    return 1 if failed else 0


sys.exit(main())

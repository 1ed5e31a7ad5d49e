"""opencode, which speaks chat completions: one task that takes a call of a tool."""

import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from cases import KEY, MODEL, URL, Cases, expect

case = Cases()
HERE = pathlib.Path(os.environ["LITTORAL_TEST_FOLDER"])
HOME = pathlib.Path(os.environ["HOME"])
CONFIG = {
    "provider": {
        "littoral": {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": f"{URL}/v1", "apiKey": KEY},
            "models": {MODEL: {"tool_call": True, "limit": {"context": 200_000, "output": 1024}}},
        }
    },
    "model": f"littoral/{MODEL}",
    "small_model": f"littoral/{MODEL}",
    "autoupdate": False,
    "share": "disabled",
    "permission": {"*": "allow"},
}
ENVIRON = {**os.environ, "OPENCODE_DISABLE_MODELS_FETCH": "1"}


@case
def a_task_with_a_tool_call_is_finished():
    work = HOME / "work"
    work.mkdir()
    (work / "opencode.json").write_text(json.dumps(CONFIG))
    command = [
        str(HERE / "node_modules/.bin/opencode"),
        "run",
        "--format",
        "json",
        "list the files here",
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        cwd=work,
        env=ENVIRON,
        stdin=subprocess.DEVNULL,
    )
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    kinds = [event["type"] for event in events]
    expect(done.returncode == 0, f"status {done.returncode}: {done.stderr[-200:]} {kinds}")
    expect("tool_use" in kinds and "text" in kinds, f"{kinds} {done.stderr[-200:]}")


sys.exit(case.run())

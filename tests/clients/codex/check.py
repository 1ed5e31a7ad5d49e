"""Codex CLI, which speaks Responses: one task that takes a call of a tool."""

import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from cases import MODEL, URL, Cases, expect

case = Cases()
HERE = pathlib.Path(os.environ["LITTORAL_TEST_FOLDER"])
HOME = pathlib.Path(os.environ["HOME"])
CONFIG = f"""
model = "{MODEL}"
model_provider = "littoral"
[model_providers.littoral]
name = "Littoral"
base_url = "{URL}/v1"
env_key = "LITTORAL_TEST_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""


@case
def a_task_with_a_tool_call_is_finished():
    (HOME / ".codex").mkdir()
    (HOME / ".codex/config.toml").write_text(CONFIG)
    work = HOME / "work"
    work.mkdir()
    command = [str(HERE / "node_modules/.bin/codex"), "exec", "--json", "--skip-git-repo-check"]
    command += [
        "--dangerously-bypass-approvals-and-sandbox",
        "-C",
        str(work),
        "list the files here",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
    )
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    kinds = [event.get("item", {}).get("type") or event["type"] for event in events]
    expect(done.returncode == 0, f"status {done.returncode}: {done.stderr[-200:]} {kinds}")
    expect("turn.completed" in kinds and "agent_message" in kinds, kinds)
    expect(any("command" in kind or "tool" in kind or "plan" in kind for kind in kinds), kinds)


sys.exit(case.run())

"""The ``llm`` command: an answer, a schema, a tool, an embedding."""

import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from cases import KEY, MODEL, URL, Cases, expect

case = Cases()
HOME = pathlib.Path(os.environ["HOME"])
os.environ["LLM_USER_PATH"] = str(HOME)
(HOME / "extra-openai-models.yaml").write_text(
    json.dumps(
        [
            {
                "model_id": "here",
                "model_name": MODEL,
                "api_base": f"{URL}/v1",
                "api_key_name": "littoral",
                "supports_tools": True,
                "supports_schema": True,
            }
        ]
    )
)
(HOME / "keys.json").write_text(json.dumps({"littoral": KEY}))


def llm(*words):
    command = [str(pathlib.Path(sys.executable).parent / "llm"), "-m", "here", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    expect(done.returncode == 0, done.stderr[-300:])
    return done.stdout


@case
def an_answer():
    expect(llm("hello there").strip(), "no text")


@case
def an_answer_without_streaming():
    expect(llm("--no-stream", "hello there").strip(), "no text")


@case
def a_schema():
    expect("city" in json.loads(llm("--schema", "city, people int", "a city")), "no city")


@case
def a_tool():
    said = llm("-T", "llm_version", "which version?")
    expect(said.strip(), "no answer after the tool's result")


sys.exit(case.run())

import json
import re
import string
from pathlib import Path

import pytest

import littoral.app.command
from littoral.app.command.messages import Messages, language
from littoral.app.command.verbs import VERBS

FOLDER = Path(littoral.app.command.__file__).parent
TEXTS = {name: json.loads((FOLDER / f"{name}.json").read_text("utf-8")) for name in ("en", "zh")}


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_keys_and_no_empty_text():
    assert list(TEXTS["en"]) == list(TEXTS["zh"])
    assert all(text.strip() for texts in TEXTS.values() for text in texts.values())


@pytest.mark.parametrize("key", TEXTS["en"])
def test_both_languages_fill_in_the_same_values(key):
    assert fields(TEXTS["en"][key]) == fields(TEXTS["zh"][key])


def test_every_text_is_used_and_every_used_text_exists():
    files = [*FOLDER.glob("*.py"), *FOLDER.with_name("bench").glob("*.py")]
    source = "".join(file.read_text("utf-8") for file in files)
    words = set(re.findall(r"[\"']([a-z][a-z0-9._ ]*)[\"']", source))
    words |= set(put_together(source, words))
    made = {f"verb.{verb.name}" for verb in VERBS} | {f"verb.{v.name.split()[0]}" for v in VERBS}
    made |= {f"group.{name}" for name in ("run", "serve", "use", "watch", "commands", "options")}
    assert [key for key in TEXTS["en"] if key not in words | made] == []
    used = set(re.findall(r'(?:say|note)\(\s*"([a-z._ ]+)"', source))
    assert used <= set(TEXTS["en"])


def put_together(source, words):
    """Keys with one part that varies, where that part is a word of the source, too."""
    for before, after in set(re.findall(r'f"([a-z]+\.[a-z.]*)\{[^}]*\}([a-z.]*)"', source)):
        yield from (f"{before}{word}{after}" for word in words)


@pytest.mark.parametrize(
    ("environ", "chosen"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LITTORAL_LANG": "zh"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LITTORAL_LANG": "en"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
    ],
)
def test_the_language_follows_the_environment(environ, chosen):
    assert language(environ) == chosen


def test_values_are_put_in():
    assert "pid 7" in Messages("en")("up.running", pid=7)

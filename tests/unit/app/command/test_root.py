import json
from pathlib import Path

import pytest

from littoral.app.command import root
from littoral.app.command.verbs import VERBS
from littoral.app.version import VERSION

FAMILIES = sorted({verb.name.split()[0] for verb in VERBS if " " in verb.name})


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_command_has_help_with_an_example_and_the_options_of_every_command(run, verb):
    said = run(*verb.name.split(), "--help")
    assert said.status == 0
    assert verb.examples[0] in said.out
    assert "--json" in said.out
    assert "--data-dir" in said.out
    assert said.err == ""


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_parameter_is_described(run, verb):
    lines = run(*verb.name.split(), "--help").out.splitlines()
    named = [n for n, line in enumerate(lines) if line.startswith(("  -", "  --"))]
    told = [n for n in named if "  " in lines[n].strip() or lines[n + 1].startswith("      ")]
    assert named == told


def test_the_root_page_lists_every_command(run):
    said = run("--help")
    for verb in VERBS:
        assert f"  {verb.name.split()[0]}  " in said.out


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_lists_its_commands(run, family):
    said = run(family)
    assert said.status == 0
    assert "Commands:" in said.out


def test_no_words_show_the_root_page(run):
    assert run().out == run("--help").out


def test_help_is_chinese_where_the_user_is(run, monkeypatch):
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert "启动云岸" in run("--help").out
    assert "示例：" in run("up", "--help").out


def test_no_colour_codes_are_written_off_a_terminal(run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in run("--help").out + run("nonsense").err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["statsu"], "did you mean status?"),
        (["zzz"], "known: up, node"),
        (["keys", "lst"], "did you mean list?"),
        (["status", "--jsno"], "--json"),
        (["deploy"], "littoral deploy --help"),
        (["logs", "-n", "many"], "littoral logs --help"),
    ],
)
def test_a_mistyped_line_is_one_error_that_says_what_would_be_right(run, words, told):
    said = run(*words)
    assert said.status == 2
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert told in said.err


def test_with_json_an_error_is_json_on_standard_output(run):
    said = run("models", "list", "--json")
    assert said.status == 2
    assert said.json["error"]["code"] == "unavailable"
    assert "littoral up" in said.json["error"]["message"]
    assert said.err == ""


def test_version_is_told_both_ways(run):
    assert VERSION in run("version").out
    assert run("version", "--json").json["version"] == VERSION
    assert run("--version").out.strip() == VERSION


def test_bytes_that_are_no_text_are_refused_in_one_line(run):
    said = run("keys", "create", "x", "--tag", "a\udcff")
    assert (said.status, said.err) == (2, "error: 'a\\udcff' is not UTF-8\n")


class Broken:
    """Stands where a command was loaded, and ends as told."""

    def __init__(self, error):
        self.error = error

    def __call__(self, *_, **__):
        raise self.error


def test_a_fault_of_ours_is_one_line_and_a_file(run, monkeypatch):
    monkeypatch.setattr(root, "application", lambda _: Broken(ZeroDivisionError("secret")))
    said = run("status")
    assert said.status == 1
    assert said.err.count("\n") == 1
    path = Path(said.err.split("Details are in ")[1].split(";")[0])
    assert "ZeroDivisionError" in path.read_text()
    path.unlink()
    told = json.loads(run("status", "--json").out)["error"]
    assert told["code"] == "internal"
    Path(told["file"]).unlink()


def test_an_interrupt_ends_with_the_shell_s_status(run, monkeypatch):
    monkeypatch.setattr(root, "application", lambda _: Broken(KeyboardInterrupt()))
    assert run("status").status == 130

"""``littoral bench``: what is refused before anything is sent, and results side by side."""

import io
import json
import os
import re
from dataclasses import replace

import msgspec
import pytest

from littoral.app.bench.prompt import Scale
from littoral.app.command import bench, bench_wish
from littoral.app.command.bench_wish import Shape, Traffic, wish
from littoral.app.command.messages import Messages
from littoral.app.command.screen import Screen
from littoral.app.command.site import Target
from unit.app.bench.records import made, steady_rows

USAGE = {"prompt_tokens": 26, "completion_tokens": 1}
WHOLE = {"choices": [{"message": {"content": "x"}}], "usage": USAGE}
HERE = Target(url="http://127.0.0.1:8000", key="k")


def planned(traffic=None, shape=None):
    return wish(traffic or Traffic(), shape or Shape(), model="m", target=HERE, scale=Scale())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--rate", "0"), "--rate must be 0.001 to 100000, not 0"),
        (("--rate", "nan"), "--rate must be"),
        (("--speed", "0"), "--speed must be"),
        (("--cv", "2"), "--cv is for --arrivals gamma"),
        (("--concurrency", "4", "--rate", "3"), "closed loop"),
        (("--concurrency", "-1"), "--concurrency must be 0 to"),
        (("--requests", "0"), "--requests must be 1 to"),
        (("--workers", "99"), "--workers must be 0 to 64"),
        (("--shared-prefix", "1.5"), "--shared-prefix must be 0 to 1"),
        (("--prefixes", "0"), "--prefixes must be 1 to"),
        (("--slo", "speed=1"), "no objective"),
        (("--slo", "ttft=1", "--whole"), "have no ttft"),
        (("--slo", "ttft=1", "--endpoint", "embeddings"), "have no ttft"),
        (("--extra", "{"), "--extra is no JSON"),
        (("--extra", "[1]"), "--extra must be a JSON object"),
        (("--endpoint", "images"), "endpoint"),
        (("--trace", "x.csv", "--rate", "2"), "--speed, not --rate"),
        (("--out", "/nowhere/at/all.json"), "no such folder"),
        (("--key-file", "/nowhere/key"), "there is no key in /nowhere/key"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(call, stand_in, words, why):
    said = call("bench", "run", "m", *words)
    assert said.status == 2
    assert why in said.err
    assert not [made for made, _ in stand_in.calls if made.startswith("POST")]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--duration", "soon"), "--duration: 'soon' is no duration"),
        (("--duration", "0s"), "--duration must be 1s to 7d"),
        (("--timeout", "x"), "--timeout"),
        (("--warmup", "x"), "--warmup"),
        (("--tokens-in", "many"), "--tokens-in: 'many' is no length"),
        (("--trace", "/nowhere.csv"), "cannot be read"),
        (("--rate", "0.001", "--duration", "1s"), "no request falls into 1 s"),
        (("--rate", "100000", "--duration", "1h"), "at most 5000000 requests"),
    ],
)
def test_a_schedule_that_cannot_be_made_is_refused(call, words, why):
    said = call("bench", "run", "m", *words)
    assert said.status == 2
    assert why in said.err


def test_options_alone_mean_a_run(call):
    assert "--rate must be" in call("bench", "--rate", "0").err


def test_the_page_of_the_family_names_its_commands(run):
    said = run("bench", "--help")
    assert said.status == 0
    assert "compare" in said.out


def test_a_wrong_key_a_missing_model_and_silence_end_with_2(call, run, stand_in):
    stand_in.on("GET /v1/models", {"data": []})
    assert "no model is served" in call("bench", "run").err
    stand_in.refuse("POST /v1/chat/completions", 401, "invalid_api_key", "the key is unknown")
    said = call("bench", "run", "m")
    assert (said.status, "the key is unknown" in said.err) == (2, True)
    stand_in.refuse("POST /v1/chat/completions", 404, "model_not_found", "no model named 'm'")
    assert "no model named 'm'" in call("bench", "run", "m").err
    said = run("bench", "run", "m", "--url", "http://127.0.0.1:1")
    assert (said.status, "no answer from http://127.0.0.1:1" in said.err) == (2, True)


def test_an_answer_that_is_no_json_object_is_refused(call, stand_in):
    stand_in.on("POST /v1/chat/completions", [1])
    said = call("bench", "run", "m")
    assert (said.status, "no JSON object" in said.err) == (2, True)


def test_nothing_running_here_is_said(run):
    said = run("bench", "run", "m")
    assert (said.status, "not running" in said.err) == (2, True)


def test_a_schedule_repeats_by_its_seed():
    one, same, other = (planned(Traffic(rate=20, seed=seed)) for seed in (1, 1, 2))
    assert one.arrivals == same.arrivals
    assert one.arrivals != other.arrivals
    assert one.plan.requests == len(one.arrivals)


def test_a_number_of_requests_without_a_duration_is_sent_whole():
    found = planned(Traffic(rate=5, requests=300))
    assert len(found.arrivals) == 300
    assert found.plan.duration == found.arrivals[-1].at


def test_a_closed_loop_has_lengths_and_no_schedule():
    found = planned(Traffic(concurrency=8), Shape(tokens_in="10-20"))
    assert (found.plan.arrivals, found.plan.clients, found.plan.rate) == ("closed", 8, 0.0)
    assert {each.at for each in found.arrivals} == {0.0}
    assert planned(Traffic(concurrency=8, requests=5)).plan.requests == 5
    assert planned(Traffic(concurrency=8, requests=5)).plan.duration > 3600


def test_a_trace_gives_rate_and_lengths(tmp_path):
    file = tmp_path / "t.jsonl"
    lines = [{"at": at, "tokens_in": 900, "tokens_out": 50} for at in range(11)]
    file.write_text("\n".join(json.dumps(line) for line in lines))
    found = planned(Traffic(trace=file, speed=2.0, max_tokens_in=100))
    assert (found.plan.duration, found.plan.trace, found.plan.arrivals) == (5.0, "t.jsonl", "trace")
    assert found.plan.rate == pytest.approx(11 / 5)
    assert {each.tokens_in for each in found.arrivals} == {100}
    assert len(planned(Traffic(trace=file, duration="3s")).arrivals) == 3


def test_workers_are_as_many_as_the_load_needs_and_cores_allow(monkeypatch):
    monkeypatch.setattr(bench_wish.os, "sched_getaffinity", lambda _: set(range(8)))
    assert planned(Traffic(rate=10)).plan.workers == 1
    assert planned(Traffic(rate=2000, duration="1s")).plan.workers == 3
    assert planned(Traffic(rate=50000, duration="1s")).plan.workers == 7
    assert planned(Traffic(rate=10, workers=5)).plan.workers == 5
    assert planned(Traffic(concurrency=2, workers=5)).plan.workers == 2


def test_what_is_no_result_is_refused(run, tmp_path):
    file = tmp_path / "x.json"
    assert "cannot be read" in run("bench", "compare", str(file), str(file)).err
    file.write_text("{}")
    said = run("bench", "compare", str(file), str(file))
    assert (said.status, "is no result of littoral bench" in said.err) == (2, True)


def test_two_results_are_put_beside_each_other(run, tmp_path):
    files = [tmp_path / "one.json", tmp_path / "other.json"]
    for file, ttft in zip(files, (0.1, 0.2), strict=True):
        file.write_bytes(msgspec.json.encode(made(steady_rows(ttft=ttft))))
    said = run("bench", "compare", *map(str, files))
    assert said.status == 0
    assert re.search(r"ttft p99 +100 ms +200 ms +2\.000 +worse", said.out)
    rows = run("bench", "compare", *map(str, files), "--json").json["rows"]
    assert {row["judgement"] for row in rows if row["name"] == "ttft p50"} == {"worse"}


def test_a_result_of_another_format_is_refused(run, tmp_path):
    file = tmp_path / "x.json"
    file.write_bytes(msgspec.json.encode(replace(made(), format=99)))
    assert "has format 99; this version reads 1" in run("bench", "compare", *[str(file)] * 2).err


class Terminal(io.StringIO):
    """A terminal that keeps what is drawn."""

    def isatty(self):
        return True


def test_the_view_draws_over_itself_and_never_wider_than_the_terminal(monkeypatch):
    monkeypatch.setattr(bench.shutil, "get_terminal_size", lambda: os.terminal_size((20, 5)))
    err = Terminal()
    shown = Screen(as_json=False, out=io.StringIO(), err=err, say=Messages("en"))
    drawn = bench.paint(shown, ["a" * 50, "短" * 50], over=0)
    bench.paint(shown, ["b", "c"], over=drawn)
    assert drawn == 2
    assert "a" * 20 not in err.getvalue()
    assert "短" * 10 not in err.getvalue()
    assert err.getvalue().endswith("\x1b[2A\x1b[2Kb\n\x1b[2Kc\n")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--concurrency", "3"), "a sweep changes --rate"),
        (("--trace", "x.csv"), "a sweep changes --rate"),
        (("--steps", "-1"), "--steps must be 0 to 20"),
        (("--target", "0"), "--target must be above 0"),
        (("--rows", "x.jsonl"), "--rows is for one run"),
        (("--rate", "0"), "--rate must be"),
    ],
)
def test_what_makes_no_sense_in_a_sweep_is_refused(call, words, why):
    said = call("bench", "sweep", "m", *words)
    assert (said.status, why in said.err) == (2, True)

"""The lab's own parts, and one short run of it where there are namespaces."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.load import Got
from lab.report import Report, table
from lab.site import Outage
from lab.traffic import Asked
from lab.tun import Link, Weather, missing

RUN = Path(__file__).parent / "run.py"


def test_a_packet_waits_for_those_before_it_and_is_dropped_where_the_queue_is_full():
    link = Link(random.Random(1), Weather(delay_s=0.1, rate=1000.0, queue_s=0.5))
    assert link.arrival(300, 0.0) == pytest.approx(0.4)
    assert link.arrival(300, 0.0) == pytest.approx(0.7)
    assert link.arrival(300, 0.0) is None
    assert link.octets == 600


def test_a_packet_never_overtakes_another():
    link = Link(random.Random(1), Weather(delay_s=0.5))
    assert link.arrival(1, 0.0) == pytest.approx(0.5)
    link.weather = Weather()
    assert link.arrival(1, 0.1) == pytest.approx(0.5)


def test_nothing_passes_a_cut_link_and_a_share_a_lossy_one():
    link = Link(random.Random(1), Weather(cut=True))
    assert link.arrival(1, 0.0) is None
    link.weather = Weather(loss=0.1)
    lost = sum(link.arrival(1, 0.0) is None for _ in range(10_000))
    assert 900 < lost < 1100


def test_a_client_that_left_by_itself_did_not_fail_and_one_that_was_cut_did():
    left = Asked("edge", 0.0, 1.0, Got("cancel", status=200))
    broken = Asked("edge", 0.0, 1.0, Got("cancel", status=200, why="reset"))
    cut = Asked("edge", 0.0, 1.0, Got("stream", status=200))
    assert [each.failed for each in (left, broken, cut)] == [False, True, True]


def test_an_outage_covers_what_was_open_when_it_began_and_what_was_sent_within():
    outage = Outage("edge", 10.0, 20.0)

    def asked(sent, ended, machine="edge"):
        return Asked(machine, sent, ended, Got("whole"))

    met = [asked(9.0, 11.0), asked(12.0, 12.1), asked(19.0, 25.0)]
    assert all(outage.covers(each) for each in met)
    others = [asked(8.0, 9.0), asked(21.0, 22.0), asked(12.0, 12.1, "other")]
    assert not any(outage.covers(each) for each in others)


def test_what_does_not_hold_is_counted_and_shown(capsys):
    report = Report("site")
    report.must("the sea is wet", 1, holds=True)
    report.must("the sea is dry", 2, holds=False)
    assert [check.what for check in report.wrong] == ["the sea is dry"]
    assert "FAIL the sea is dry" in capsys.readouterr().out
    assert table([report]).splitlines()[1].split() == [
        "site",
        "FAIL",
        "the",
        "sea",
        "is",
        "dry",
        "2",
    ]


def test_a_scenario_that_is_not_there_is_refused_with_those_that_are():
    done = subprocess.run(
        [sys.executable, RUN, "--only", "moon"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no scenario 'moon'; known: site" in done.stderr


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_an_edge_serves_and_counts_through_a_cut_two_reboots_and_the_end_of_its_certificate(
    tmp_path,
):
    if why := missing():
        pytest.skip(why)
    out = tmp_path / "lab.json"
    words = ["--only", "site", "--edges", "1", "--cut", "60", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, RUN, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    checks = json.loads(out.read_text())[0]["checks"]
    assert len(checks) >= 7

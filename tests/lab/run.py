"""The lab: the whole product as real processes in network namespaces, and a network that fails.

    sudo .venv/bin/python tests/lab/run.py --only site --cut 240

Prints each thing that must hold and whether it does, writes ``bench/out/lab.json``; the exit status
is 1 where something does not hold. Needs Linux and root, and says so where it has neither.
"""

import argparse
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]
from lab import dates, page, revocation, site, wan  # noqa: E402  their folder is known only from here on
from lab.report import Report, table, write  # noqa: E402  as above
from lab.tun import missing  # noqa: E402  as above
from lab.world import world  # noqa: E402  as above

OUT = ROOT / "bench/out/lab.json"


def main() -> int:
    """Play the scenarios that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="scenarios, comma-separated; all by default")
    parser.add_argument("--cut", type=float, default=240.0, help="seconds that the WAN is cut")
    parser.add_argument("--rate", type=float, default=1.0, help="requests a second and edge")
    parser.add_argument("--edges", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the machines' folders")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    known = {
        "site": partial(_site, given),
        "wan": partial(_wan, given),
        "clock": partial(_clock, given),
        "revoke": partial(_revoke, given),
        "page": page.run,
    }
    chosen = given.only.split(",") if given.only else list(known)
    if strange := set(chosen) - set(known):
        parser.error(f"no scenario {strange.pop()!r}; known: {', '.join(known)}")
    if why := missing():
        print(f"skipped: {why}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    reports = [_played(name, known[name]) for name in chosen]
    write(reports, given.out)
    print(table(reports))
    wrong = sum(len(each.wrong) for each in reports)
    print(f"{wrong} of {sum(len(each.checks) for each in reports)} do not hold; {given.out}")
    return 1 if wrong else 0


def _played(name: str, play: Callable[[Report], None]) -> Report:
    """A scenario's report, to which belongs that it was played to its end."""
    report = Report(name)
    print(f"{name}:", flush=True)
    try:
        play(report)
    except Exception as error:  # noqa: BLE001  whatever it was, the others are played
        traceback.print_exc()
        report.must("it is played to its end", error, holds=False)
    return report


def _site(given: argparse.Namespace, report: Report) -> None:
    with world(edges=given.edges, seed=given.seed, keep=given.keep) as made:
        site.run(made, report, cut_s=given.cut, rate=given.rate)


def _wan(given: argparse.Namespace, report: Report) -> None:
    with world(edges=1, seed=given.seed, keep=given.keep) as made:
        wan.run(made, report, rate=given.rate)


def _clock(given: argparse.Namespace, report: Report) -> None:
    with world(edges=3, seed=given.seed, keep=given.keep) as made:
        dates.run(made, report, rate=given.rate)


def _revoke(given: argparse.Namespace, report: Report) -> None:
    with world(edges=3, seed=given.seed, keep=given.keep) as made:
        revocation.run(made, report)


if __name__ == "__main__":
    sys.exit(main())

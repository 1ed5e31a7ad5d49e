"""Two processes at the ends of a bad line: how they are started, and what they have in common.

Each is a program that is started inside a network namespace as ``PROGRAM far|near CARD ...``; the
near one measures, and prints one JSON object.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from cluster import NAME, Cluster
from lab.tun import IP, Weather, wan
from littoral.app.link.carrier import CarrierParts, SocketCarrier
from littoral.app.link.network import LinkNetwork, LinkParts
from littoral.app.system import (
    SystemChance,
    SystemClock,
    SystemEntropy,
    SystemFailpoints,
)
from littoral.domain.link import Shown

HEAD_START_S = 30.0
"""So long the far end has to listen."""
PORT = 8445
GRACE_S = 90.0


def write_card(shown: Shown, file: Path) -> None:
    """Hand a certificate over in a file."""
    file.write_text(json.dumps(asdict(shown)), "utf-8")


def read_card(file: str) -> Shown:
    """The certificate that was handed over in a file."""
    return Shown(**json.loads(Path(file).read_text("utf-8")))


def network(shown: Shown) -> LinkNetwork:
    """Sessions with one certificate."""

    async def told() -> Shown:
        return shown

    clock = SystemClock()
    return LinkNetwork(
        LinkParts(
            carrier=SocketCarrier(CarrierParts(shown=told, clock=clock, name=NAME)),
            clock=clock,
            chance=SystemChance(),
            entropy=SystemEntropy(),
            failpoints=SystemFailpoints(),
        )
    )


def measured(
    program: Path, words: list[str], *, weather: Weather, seconds: float, seed: int
) -> dict[str, object]:
    """Run a program at both ends of a line; what the near one told, and the bytes each way."""
    cluster = Cluster()
    with (
        tempfile.TemporaryDirectory() as folder,
        wan(seed) as (near, far, relay),
        relay.running(),
    ):
        cards = {"far": cluster.control(), "near": cluster.node("nd_1")}
        relay.set(weather)
        children = []
        try:
            for end, space in (("far", far), ("near", near)):
                card = Path(folder, end)
                write_card(cards[end], card)
                command = [IP, "netns", "exec", space, sys.executable, str(program), end]
                command += [str(card), *words, f"--seconds={seconds}"]
                children.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
                if end == "far":
                    _listening(space)
            told, _ = children[-1].communicate(timeout=seconds + GRACE_S)
        finally:
            for child in children:
                child.kill()
                child.wait()
        return json.loads(told) | {"sent_up": relay.up.octets, "sent_down": relay.down.octets}


def _listening(space: str) -> None:
    """Wait until the far end can be dialled."""
    words = [IP, "netns", "exec", space, "ss", "-Hltn", "sport", "=", f":{PORT}"]
    end = time.monotonic() + HEAD_START_S
    while not subprocess.run(words, capture_output=True, check=True).stdout:
        if time.monotonic() > end:
            raise TimeoutError("the far end does not listen")
        time.sleep(0.2)


def waits(found: Mapping[str, object]) -> dict[str, object]:
    """How long the answers to beats took, as columns of a table."""
    took = sorted(found["waits"])
    return {
        "beats": len(took),
        "p50_s": round(statistics.median(took), 2),
        "p95_s": round(took[min(len(took) - 1, len(took) * 95 // 100)], 2),
        "max_s": round(took[-1], 2),
    }


Part = Callable[[argparse.Namespace], Awaitable[object]]


def words_of_an_end() -> argparse.ArgumentParser:
    """What each program takes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("end", choices=["near", "far"])
    parser.add_argument("card")
    parser.add_argument("--seconds", type=float, default=30.0)
    return parser


def be(parser: argparse.ArgumentParser, *, far: Part, near: Part) -> None:
    """Be one end, as the words of the command say."""
    given = parser.parse_args()
    if given.end == "far":
        anyio.run(far, given)
    else:
        print(json.dumps(anyio.run(near, given)))

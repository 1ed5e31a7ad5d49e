"""The demonstration of ``docs/edge.md``, as it is written: each block in a shell of its machine.

What is put in by hand there, the key and the token, is taken from what the cloud showed.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.machine import clean
from lab.report import Report
from lab.tun import IP, Plug, Weather, cable, spaces

PAGE = Path(__file__).parents[2] / "docs/edge.md"
ADDRESS = "192.0.2.1"
BLOCK = re.compile(
    r"^```\{code-block\} sh\n:caption: (.+?)\n\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
MACHINES = {"On the cloud": ("cloud",), "At the edge": ("edge",), "On both": ("cloud", "edge")}
SEEN = {
    "key": re.compile(r"^(lit-sk-\S+)$", re.MULTILINE),
    "token": re.compile(r"--token (\S+)"),
}
WITHIN_S = 600.0
FAILED = "--- a command failed: "
PRELUDE = f"""sudo() {{ "$@"; }}
trap 'echo "{FAILED}$BASH_COMMAND"' ERR
"""
SAYS_NO = ("littoral node status", "source ")
"""Commands whose exit status says that control is away, and the block that ends with one."""
END = "--- the block has ended with "


@dataclass(frozen=True)
class Block:
    """Commands of the page, and where they are run."""

    machines: tuple[str, ...]
    text: str


def blocks(page: str) -> list[Block]:
    """What the page says to run, in order."""
    return [Block(MACHINES[caption], text) for caption, text in BLOCK.findall(page)]


class Shell:
    """A shell in a namespace, with a home of its own."""

    def __init__(self, space: str, home: Path) -> None:
        home.mkdir(exist_ok=True)
        self._script = home.with_suffix(".sh")
        self._shell = subprocess.Popen(
            [IP, "netns", "exec", space, "bash"],
            env=environment(home),
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.run(PRELUDE)

    def run(self, text: str) -> tuple[int, str]:
        """Run commands; the exit status of the last one, and all that was printed."""
        self._script.write_text(text, "utf-8")
        self._shell.stdin.write(f"source {self._script} < /dev/null\necho '{END}'$?\n")
        self._shell.stdin.flush()
        said = ""
        for line in self._shell.stdout:
            if line.startswith(END):
                return int(line.removeprefix(END)), said
            said += line
        return 1, said

    def close(self) -> None:
        """End it."""
        self._shell.kill()
        self._shell.wait()


def environment(home: Path) -> Mapping[str, str]:
    """What a person's shell has."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**clean(), "HOME": str(home), "PATH": path, "LANG": "C.UTF-8"}


@contextmanager
def machines(folder: Path) -> Iterator[Mapping[str, Shell]]:
    """Two shells in two namespaces with a line between."""
    names = {each: f"lab{os.getpid()}-{each}" for each in ("cloud", "edge")}
    with ExitStack() as stack:
        stack.enter_context(spaces(*names.values()))
        near, far = (
            Plug(names["edge"], "wan", "10.231.1.2"),
            Plug(names["cloud"], "wan", "10.231.1.1"),
        )
        relay = stack.enter_context(cable(near, far))
        relay.set(Weather(delay_s=0.02))
        stack.enter_context(relay.running())
        for space, words in (
            ("cloud", "address add {} dev lo"),
            ("edge", "route add default via 10.231.1.1"),
        ):
            subprocess.run([IP, "-n", names[space], *words.format(ADDRESS).split()], check=True)
        shells = {each: Shell(names[each], folder / each) for each in names}
        for shell in shells.values():
            stack.callback(shell.close)
        yield shells


def run(report: Report) -> None:
    """Run the page, and say what held."""
    with tempfile.TemporaryDirectory(prefix="littoral-lab-") as name:
        folder = Path(name)
        if why := _prepared(folder / "cloud"):
            report.skip(f"the demonstration: {why}")
            return
        with machines(folder) as shells:
            begin = time.monotonic()
            said = _played(report, shells)
            took = time.monotonic() - begin
    report.must("the page is done in ten minutes", f"{took:.0f} s", holds=took <= WITHIN_S)
    offline = said.count("x-littoral-offline: true")
    report.must("answers within the cut say offline", offline, holds=offline == 3)
    relayed = len(re.findall("x-littoral-route: .*via=relay", said))
    report.must("a request went each way", relayed, holds=relayed == 2)
    books = _books(said)
    wanted = {("kiosk", "edge-chat", 5), ("kiosk", "smollm2-135m", 1)}
    wanted |= {("local", "edge-chat", 1), ("local", "smollm2-135m", 1)}
    report.must("each request is in the books once", sorted(books), holds=books == wanted)


def _books(said: str) -> set[tuple[str, str, int]]:
    """Machine, model and requests of the last table of usage, by the names of the table before."""
    names = {
        node: name for name, node in re.findall(r"^(kiosk|local) +(nd_\S+)", said, re.MULTILINE)
    }
    table = said.rpartition("REQUESTS")[2]
    rows = re.findall(r"^(nd_\S+) +(\S+) +(\d+) ", table, re.MULTILINE)
    return {(names[node], model, int(count)) for node, model, count in rows}


def _prepared(home: Path) -> str:
    """Fetch the model while there is a network, as a reader's machine has one; why it failed.

    Raises:
        RuntimeError: Littoral itself did not start or stop, which is no reason to skip anything.
    """
    home.mkdir()
    environ, failed = environment(home), ""
    for words in (["up", "--detach"], ["models", "pull", "smollm2-135m"], ["down"]):
        done = subprocess.run(
            [sys.executable, "-m", "littoral", *words],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and words[0] != "models":
            raise RuntimeError(f"littoral {' '.join(words)}: {done.stderr}")
        if done.returncode:
            failed = done.stderr[-300:]
    return failed


def _played(report: Report, shells: Mapping[str, Shell]) -> str:
    """Run every block; all that was printed."""
    whole, known = "", {"key": "", "token": ""}
    for block in blocks(PAGE.read_text("utf-8")):
        for machine in block.machines:
            text = re.sub("<(key|token)>", lambda found: known[found[1]], block.text)
            code, said = shells[machine].run(text)
            print(f"[{machine}]\n{block.text}{said}", flush=True)
            first = block.text.splitlines()[0]
            failed = re.findall(f"^{FAILED}(.*)$", said, re.MULTILINE)
            bad = [each for each in failed if not each.startswith(SAYS_NO)]
            report.must(f"{machine}: {first[:60]}", bad or f"exit {code}", holds=not bad)
            for name, pattern in SEEN.items():
                if found := pattern.search(said):
                    known[name] = found[1]
            whole += said
    return whole

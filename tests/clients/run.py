"""Run every client against a site of this build, and write the table of what works.

    run.py [--only NAME,NAME] [--no-table]

Each client gets an environment of its own below ``.clients/``, an empty home, and no variable that
tells it about any other service. The exit status is 0 where every case passed that no entry of
``clients.toml`` allows to fail; a client that could not be set up counts as failed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from e2e.conftest import Site  # noqa: E402  the path is set just above

PLACE = ROOT / ".clients"
OUT = ROOT / "bench/out/conformance.json"
TABLE = ROOT / "docs/reference/clients.md"
REAL = "smollm2-135m"
MODEL = "fake-echo-o3"
"""The name has ``o3`` in it, since llm-comply leaves out its reasoning tests for other names."""
CLIENT_S = 900
SETUP_S = 600


@dataclass(frozen=True, kw_only=True)
class Client:
    """One entry of ``clients.toml``."""

    name: str
    title: str
    shows: str
    script: str = ""
    real: bool = False
    allow: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where its script and its lock are."""
        return HERE / self.name

    @property
    def python(self) -> bool:
        """Whether its environment is a Python one."""
        return (self.folder / "requirements.txt").exists()


@dataclass(kw_only=True)
class Outcome:
    """What a client said."""

    client: Client
    model: str
    version: str = ""
    cases: list[tuple[str, str, str]] = field(default_factory=list)

    def count(self, verdict: str) -> int:
        """How many cases have a verdict."""
        return sum(1 for said, _, _ in self.cases if said == verdict)

    @property
    def bad(self) -> list[tuple[str, str]]:
        """Cases that failed and may not, with their notes."""
        return [
            (n, t) for said, n, t in self.cases if said == "fail" and n not in self.client.allow
        ]


def clients() -> list[Client]:
    """All clients, in the order of the file."""
    read = tomllib.loads((HERE / "clients.toml").read_text())
    return [Client(name=name, **fields) for name, fields in read.items()]


def call(command: Sequence[str], *, cwd: Path, seconds: int) -> str:
    """Run a program and return what it printed; its last words are in the error where it fails."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {(done.stderr or done.stdout)[-500:]}")
    return done.stdout


def prepare(client: Client) -> Path:
    """Make a client's environment, unless the one that is there is of the same lock."""
    place = PLACE / client.name
    lock = client.folder / ("requirements.txt" if client.python else "package-lock.json")
    stamp = place / "lock"
    if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        return place
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    if client.python:
        call([sys.executable, "-m", "venv", "venv"], cwd=place, seconds=SETUP_S)
        pip = [str(place / "venv/bin/python"), "-m", "pip", "--disable-pip-version-check"]
        call(
            [*pip, "install", "-q", "--require-hashes", "-r", str(lock)], cwd=place, seconds=SETUP_S
        )
    else:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(client.folder / name, place)
        call(["npm", "install", "--no-save", "--no-fund", "--no-audit"], cwd=place, seconds=SETUP_S)
        for script in client.folder.glob("*.mjs"):
            shutil.copy(script, place)
        shutil.copy(HERE / "cases.mjs", PLACE)
    shutil.copy(lock, stamp)
    return place


def version_of(client: Client) -> str:
    """The version of the package that gives a client its title, from its lock."""
    if client.python:
        return (client.folder / "requirements.in").read_text().split()[0].partition("==")[2]
    packages = json.loads((client.folder / "package.json").read_text())["dependencies"]
    return packages[min(packages, key=lambda name: (name != "ai", name))]


def command_of(client: Client, place: Path) -> list[str]:
    """How its check is started."""
    if client.python:
        return [str(place / "venv/bin/python"), str(client.folder / "check.py")]
    if client.script == "python":
        return [sys.executable, str(client.folder / "check.py")]
    return ["node", str(place / "check.mjs")]


@contextmanager
def service(*, real: bool) -> Iterator[Mapping[str, str]]:
    """A site with the fake engine, and a real model; gives the variables that tell of it."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder, "data"))
        site.start()
        try:
            site.deploy(
                MODEL, engine="fake", model="echo", context=262_144, options={"directives": True}
            )
            if real:
                words = [sys.executable, "-m", "littoral", "deploy", REAL]
                call([*words, "--data-dir", str(site.data_dir)], cwd=ROOT, seconds=SETUP_S)
            yield {
                "LITTORAL_TEST_URL": f"http://127.0.0.1:{site.port}",
                "LITTORAL_TEST_KEY": site.load_key(),
            }
        finally:
            site.stop()


def check(client: Client, model: str, told: Mapping[str, str]) -> Outcome:
    """Run one client's cases."""
    outcome = Outcome(client=client, model=model, version=version_of(client))
    try:
        place = prepare(client)
        with tempfile.TemporaryDirectory() as home:
            environ = {"HOME": home, "PATH": os.environ["PATH"], "LANG": "C.UTF-8", **told}
            environ["LITTORAL_TEST_MODEL"] = model
            environ["LITTORAL_TEST_FOLDER"] = str(place)
            done = subprocess.run(
                command_of(client, place),
                env=environ,
                cwd=home,
                capture_output=True,
                text=True,
                timeout=CLIENT_S,
                check=False,
            )
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        outcome.cases.append(("fail", "it runs", str(error)[-300:]))
        return outcome
    for line in done.stdout.splitlines():
        if line.startswith("case\t"):
            verdict, name, note = [*line.split("\t"), "", ""][1:4]
            outcome.cases.append((verdict, name, note))
    if done.returncode and not outcome.count("fail"):
        outcome.cases.append(("fail", "it runs", done.stderr[-300:]))
    if not outcome.cases:
        outcome.cases.append(("fail", "it says something", ""))
    return outcome


def table(outcomes: Sequence[Outcome]) -> str:
    """The page of the documentation."""
    lines = [
        "# Clients",
        "",
        "Unmodified clients, each in an environment of its own, against this build: with the",
        f"engine `fake`, which can do everything, and some with the real model {REAL}, where what",
        "that cannot do is skipped. This page is written by `make conformance`.",
        "",
        "| client | version | model | passed | failed | skipped | what is run |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in outcomes:
        counts = " | ".join(str(each.count(verdict)) for verdict in ("ok", "fail", "skip"))
        client = each.client
        model = "fake" if each.model == MODEL else each.model
        row = (client.title, each.version, model, counts, client.shows)
        lines.append(f"| {' | '.join(row)} |")
    told = [
        (f"{each.client.title} with {each.model}", name, each.client.allow.get(name, note))
        for each in outcomes
        for verdict, name, note in each.cases
        if verdict != "ok"
    ]
    if told:
        lines += ["", "## What failed or was skipped, and why", ""]
        lines += [f"* {title}, {name}: {note or 'no reason given'}" for title, name, note in told]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the clients that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="names, joined by commas")
    parser.add_argument("--no-table", action="store_true", help="leave the documentation alone")
    asked = parser.parse_args()
    known = clients()
    wanted = [c for c in known if not asked.only or c.name in asked.only.split(",")]
    runs = [(client, MODEL) for client in wanted] + [(c, REAL) for c in wanted if c.real]
    with service(real=any(client.real for client in wanted)) as told:
        outcomes = []
        for client, model in runs:
            outcome = check(client, model, told)
            outcomes.append(outcome)
            counts = [f"{outcome.count(v)} {v}" for v in ("ok", "fail", "skip")]
            print(f"{client.title:40} {model:14} {', '.join(counts)}", flush=True)
            for name, note in outcome.bad:
                print(f"    {name}: {note}")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({f"{o.client.name}/{o.model}": o.cases for o in outcomes}, indent=1))
    if len(wanted) == len(known) and not asked.no_table:
        TABLE.write_text(table(outcomes))
    passed, failed = sum(o.count("ok") for o in outcomes), sum(len(o.bad) for o in outcomes)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""What a scenario found: figures, and each thing that must hold, with whether it did."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Check:
    """One thing that must hold."""

    what: str
    holds: bool
    seen: str


@dataclass
class Report:
    """Of one scenario; ``skipped`` says why it, or a part of it, was not run."""

    scenario: str
    checks: list[Check] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def must(self, what: str, seen: object, *, holds: bool) -> None:
        """Note whether something holds, and what was seen."""
        self.checks.append(Check(what, holds, str(seen)))
        print(f"  {'ok  ' if holds else 'FAIL'} {what}: {seen}", flush=True)

    def say(self, what: str, value: object) -> None:
        """Note a figure."""
        self.figures[what] = value
        print(f"       {what}: {value}", flush=True)

    def skip(self, why: str) -> None:
        """Note what is not done here, and why."""
        self.skipped.append(why)
        print(f"  skip {why}", flush=True)

    @property
    def wrong(self) -> list[Check]:
        """What does not hold."""
        return [check for check in self.checks if not check.holds]


def write(reports: Sequence[Report], file: Path) -> None:
    """Keep all as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([asdict(each) for each in reports], indent=2) + "\n", "utf-8")


def table(reports: Sequence[Report]) -> str:
    """All checks, one a line."""
    rows = [
        (report.scenario, "ok" if check.holds else "FAIL", check.what, check.seen)
        for report in reports
        for check in report.checks
    ]
    wide = max((len(row[2]) for row in rows), default=0)
    return "\n".join(f"{a:6} {b:4} {c:{wide}} {d}" for a, b, c, d in rows)

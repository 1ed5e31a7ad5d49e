"""``littoral doctor``: what is good, what is not, and what to do about it."""

from collections.abc import Sequence
from dataclasses import asdict

from littoral.app.command.checkup import Finding, examine
from littoral.app.command.reach import HERE, Reach, settings_of
from littoral.app.command.screen import screen
from littoral.app.command.table import lines

MARKS = {"ok": "ok  ", "warn": "warn", "bad": "BAD "}


def doctor(*, reach: Reach = HERE) -> int:
    """Check versions, limits, disk, memory, engines, port and data folder.

    The exit status is 1 when something must be mended.

    Args:
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    findings = examine(settings_of(reach))
    shown.json({"findings": [asdict(finding) for finding in findings]})
    for text in report(findings):
        shown.line(text)
    bad = sum(finding.level == "bad" for finding in findings)
    warn = sum(finding.level == "warn" for finding in findings)
    shown.line()
    if bad:
        shown.line(shown.say("doctor.bad", count=bad))
    if warn:
        shown.line(shown.say("doctor.warn", count=warn))
    if not bad and not warn:
        shown.line(shown.say("doctor.ok"))
    return 1 if bad else 0


def report(findings: Sequence[Finding]) -> list[str]:
    """One aligned line a finding, and under it what to do."""
    rows = [(MARKS[found.level], found.subject, found.value) for found in findings]
    told: list[str] = []
    for text, found in zip(lines(("", "", ""), rows)[1:], findings, strict=True):
        told.append(text)
        if found.advice:
            told.append(f"      -> {found.advice}")
    return told

"""Decision records are whole and numbered; changelog fragments are ones the tool will read."""

import re

SECTIONS = [
    "## Context",
    "## Decision",
    "## What we measured",
    "## Consequences",
    "## How we would notice that it was wrong",
]
STATUS = re.compile(r"^Status: (proposed|accepted|superseded by \[?[0-9]{4}\]?.*)$", re.MULTILINE)


def records(root):
    return sorted((root / "docs" / "adr").glob("[0-9]*.md"))


def test_records_are_numbered_without_gaps(root):
    numbers = [int(path.name[:4]) for path in records(root)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_record_has_its_title_its_status_and_its_sections(root):
    faults = {}
    for path in records(root):
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        wrong = [] if lines[0].startswith(f"# {path.name[:4]}. ") else ["title"]
        wrong += [] if STATUS.search(text) else ["status"]
        if [line for line in lines if line.startswith("## ")] != SECTIONS:
            wrong.append("sections")
        if wrong:
            faults[path.name] = wrong
    assert faults == {}


def test_every_fragment_has_a_name_that_the_changelog_tool_reads(root, project):
    kinds = "|".join(project["tool"]["towncrier"]["fragment"])
    name = re.compile(rf"\+[a-z0-9-]+\.(?:{kinds})\.md")
    present = [path.name for path in (root / "changelog.d").iterdir()]
    assert [f for f in present if f != ".gitkeep" and not name.fullmatch(f)] == []


def test_every_fragment_says_something(root):
    assert [p.name for p in (root / "changelog.d").glob("*.md") if not p.read_text().strip()] == []

"""What must be there in Chinese is there, and belongs to the present English text."""

import re
import subprocess
import sys

import polib
import pytest

WHOLE = ["index", "edge", "tutorial/*", "how-to/*"]
CJK = re.compile(r"[\u4e00-\u9fff]")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def english_pages(root):
    return sorted(path for pattern in WHOLE for path in (root / "docs").glob(f"{pattern}.md"))


def catalogue(root, path):
    name = path.relative_to(root / "docs").with_suffix(".po")
    return root / "docs" / "locale" / "zh_CN" / "LC_MESSAGES" / name


def test_every_page_that_must_be_in_chinese_has_a_catalogue(root):
    missing = [p.name for p in english_pages(root) if not catalogue(root, p).exists()]
    assert missing == []


def test_nothing_is_untranslated_or_out_of_date(root):
    faults = {}
    for path in english_pages(root):
        entries = polib.pofile(str(catalogue(root, path)))
        open_ones = [e.msgid for e in [*entries.untranslated_entries(), *entries.fuzzy_entries()]]
        if open_ones:
            faults[path.name] = open_ones
    assert faults == {}


def test_no_catalogue_keeps_sentences_that_are_gone(root):
    files = (root / "docs" / "locale").rglob("*.po")
    old = {path.name: len(polib.pofile(str(path)).obsolete_entries()) for path in files}
    assert {name: count for name, count in old.items() if count} == {}


@pytest.mark.timeout(120)
def test_the_catalogues_have_exactly_the_sentences_of_the_pages(root, tmp_path):
    templates = extract(root, tmp_path)
    faults = {}
    for path in english_pages(root):
        name = path.relative_to(root / "docs").with_suffix(".pot")
        written = {entry.msgid for entry in polib.pofile(str(templates / name))}
        known = {entry.msgid for entry in polib.pofile(str(catalogue(root, path)))}
        if written != known:
            faults[path.name] = sorted(written ^ known)
    assert faults == {}


def extract(root, target):
    """Sphinx's own extraction: what it will look up is what must be translated."""
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "gettext", "-d", target / "doctrees"]
    subprocess.run([*command, root / "docs", target / "out"], check=True)
    return target / "out"


def test_the_readmes_have_the_same_headings_and_the_same_commands(root):
    english = (root / "README.md").read_text(encoding="utf-8")
    chinese = (root / "README.zh-CN.md").read_text(encoding="utf-8")
    assert heads(english) == heads(chinese)
    assert [commands(b) for b in FENCE.findall(english)] == [
        commands(b) for b in FENCE.findall(chinese)
    ]
    assert len(CJK.findall(chinese)) > 600


def heads(text: str) -> list[int]:
    return [len(mark) for mark in re.findall(r"^(#+) ", FENCE.sub("", text), re.MULTILINE)]


def commands(block: str) -> list[str]:
    """A code block's commands, without comments and without what is said to a model."""
    lines = [re.sub(r"\s+# .*", "", line) for line in block.splitlines()]
    return [re.sub(r'"[^"]*[.?。？]"', '""', line) for line in lines]

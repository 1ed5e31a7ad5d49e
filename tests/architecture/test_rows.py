"""The architecture page and the import contract tell of the same rows."""

import re

ROW = re.compile(r"^\| ([1-8]) \| `(\w+)` \|", re.MULTILINE)


def test_the_page_and_the_contract_put_the_same_packages_in_the_same_rows(root, contracts):
    page = (root / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    written: dict[int, set[str]] = {}
    for number, package in ROW.findall(page):
        written.setdefault(int(number), set()).add(package)
    layers = reversed(contracts["flow"]["layers"])
    enforced = {n: {p.strip() for p in layer.split("|")} for n, layer in enumerate(layers, 1)}
    assert written == enforced


def test_every_package_has_a_row(root, contracts):
    folders = (root / "src" / "littoral").iterdir()
    packages = {p.name for p in folders if (p / "__init__.py").exists()}
    rows = {p.strip() for layer in contracts["flow"]["layers"] for p in layer.split("|")}
    assert packages == rows

"""Nothing in the tree belongs to one machine, and nothing in it is unfinished."""

import re

FOLDERS = ["src", "tests", "docs", "bench", "scripts", "requirements", "changelog.d", ".ci"]
TEXT = {".py", ".md", ".po", ".txt", ".in", ".toml", ".sh", ".yaml", ".yml", ".svg", ".json", ""}
BUILT = {"__pycache__", "_build", "out", "build", ".git"}
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|HA" r"CK|X" r"XX)\b")
MACHINE = re.compile(r"(?<![\w.])/(?:wo" r"rk|ro" r"ot)/|/opt/(?:py" r"pi|wheels)")
HOSTS = re.compile(
    r"py" r"pi\.org|python" r"hosted|deb\.deb" r"ian\.org|npm" r"js\.org|archive\.ubu" r"ntu\.com"
)


def files(root):
    for path in [*root.iterdir(), *(p for f in FOLDERS for p in (root / f).rglob("*"))]:
        inside = path.relative_to(root).parts
        measured = path.name.startswith(".coverage")
        if path.is_file() and path.suffix in TEXT and BUILT.isdisjoint(inside) and not measured:
            yield "/".join(inside), path.read_text(encoding="utf-8")


def found(root, pattern):
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in files(root)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_nothing_is_marked_as_unfinished(root):
    assert found(root, UNFINISHED) == []


def test_no_path_of_one_machine_is_in_the_tree(root):
    assert found(root, MACHINE) == []


def test_no_package_registry_is_named(root):
    assert found(root, HOSTS) == []

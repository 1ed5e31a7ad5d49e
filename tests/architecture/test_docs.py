"""The reference is complete: whatever has a public name is on its page, with the same facts."""

import ast
import re
from dataclasses import fields
from typing import get_args

import pytest

from littoral.app.command.verbs import VERBS
from littoral.app.settings import CLIENT_VARIABLES, FIELDS, PREFIX
from littoral.domain.deployment import EngineKind
from littoral.domain.errors import LittoralError
from littoral.domain.failpoint import NAMES
from littoral.domain.model import VersionSpec
from littoral.domain.placement import Reason, Why
from littoral.domain.project import Scope
from littoral.domain.resource import SPECS
from littoral.trust.role import SCOPE_OF

CELL = re.compile(r"(?<!\\)\|")


def page(root, name: str) -> str:
    return (root / "docs" / f"{name}.md").read_text(encoding="utf-8")


def rows(text: str) -> dict[str, list[str]]:
    """Each table row that begins with a name in backticks: the name, and its other cells."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in CELL.split(line)[1:-1]]
        if len(cells) > 1 and (match := re.fullmatch(r"`([^`]+)`", cells[0])):
            found[match[1]] = cells[1:]
    return found


def tree(root: type[LittoralError]):
    yield root
    for below in root.__subclasses__():
        if below.__module__.startswith("littoral.domain"):
            yield from tree(below)


def test_every_setting_is_in_the_reference_with_its_variable_and_its_help(root):
    written = rows(page(root, "reference/settings"))
    faults = [
        name
        for name, entry in FIELDS.items()
        if name not in written
        or written[name][0] != f"`{PREFIX}{name.upper()}`"
        or entry.metadata["help"].split(":")[0].rstrip(".").split(";")[0]
        not in written[name][2].replace("`", "")
    ]
    assert faults == []


def test_every_default_in_the_reference_is_the_real_one(root):
    written = rows(page(root, "reference/settings"))
    wrong = [
        name
        for name, entry in FIELDS.items()
        if name != "data_dir" and written[name][1] != show(entry.default)
    ]
    assert wrong == []


def show(value: object) -> str:
    if value in {"", ()}:
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_the_reference_has_no_setting_that_is_gone(root):
    known = {*FIELDS, *CLIENT_VARIABLES}
    assert set(rows(page(root, "reference/settings"))) == known


def test_every_error_code_is_in_the_reference_with_its_status(root):
    written = rows(page(root, "reference/errors"))
    real = {e.code: [str(e.status), "yes" if e.retryable else "no"] for e in tree(LittoralError)}
    assert {code: cells[:2] for code, cells in written.items()} == real


def test_every_code_of_http_itself_is_in_the_reference(root, sources):
    used = {
        code
        for source in sources
        if source.name.startswith("gateway/")
        for code in re.findall(r'(?:code=|Refusal\(\d{3}, )"(\w+)"', source.text)
    }
    text = page(root, "reference/errors")
    assert used
    assert [code for code in used if f"`{code}`" not in text] == []


def test_every_error_says_in_the_reference_what_its_class_says(root):
    written = rows(page(root, "reference/errors"))
    wrong = [
        error.code
        for error in tree(LittoralError)
        if error is not LittoralError
        and error.__doc__.rstrip(".").split(" (")[0] not in written[error.code][2]
    ]
    assert wrong == []


def test_every_failpoint_is_in_the_reference(root):
    assert list(rows(page(root, "reference/failpoints"))) == list(NAMES)


@pytest.mark.parametrize("spec", [*SPECS.values(), VersionSpec], ids=lambda spec: spec.__name__)
def test_every_field_that_may_be_declared_is_in_the_reference(root, spec):
    written = rows(page(root, "reference/resources"))
    assert [field.name for field in fields(spec) if field.name not in written] == []


def test_every_engine_and_every_scope_is_explained(root):
    engines, keys = page(root, "reference/resources"), page(root, "how-to/create-keys")
    assert [kind for kind in get_args(EngineKind) if f"`{kind}`" not in engines] == []
    assert [scope for scope in get_args(Scope) if scope not in rows(keys)] == []


def test_every_reason_of_a_decision_is_explained(root):
    written = rows(page(root, "explanation/routing"))
    assert set(written) == {*get_args(Reason), *get_args(Why)}


def routes(sources):
    """Method, path and policy of every ``Route(...)`` of the admin API, as written."""
    for source in sources:
        if source.name.startswith("control/api/"):
            for node in ast.walk(source.tree):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Route":
                    given = {word.arg: word.value for word in node.keywords}
                    policy = ast.unparse(given["policy"])
                    yield f"{given['method'].value} {given['path'].value}", policy


def scope_of(policy: str) -> str:
    action = re.fullmatch(r"Needs\('(.+)'\)", policy)
    if action:
        return f"`{SCOPE_OF[action[1]]}`"
    return "none" if policy.startswith("Public(") else "any"


def test_every_route_of_the_admin_api_is_in_the_reference_with_its_scope(root, sources):
    written = {route: cells[0] for route, cells in rows(page(root, "reference/admin-api")).items()}
    assert written == {route: scope_of(policy) for route, policy in routes(sources)}


def test_every_command_is_in_the_reference(root):
    written = [name for name in rows(page(root, "reference/cli")) if name.startswith("littoral ")]
    assert written == [f"littoral {verb.name}" for verb in VERBS]

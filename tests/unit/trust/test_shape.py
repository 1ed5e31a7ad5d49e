"""Which JSON values a schema allows, and which schemas are refused."""

import pytest

from littoral.domain.errors import InvalidInput
from littoral.trust.shape import DEEPEST, allows, check

PERSON = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 2, "maxLength": 4},
        "age": {"type": ["integer", "null"], "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", 1]}, "minItems": 1, "maxItems": 2},
        "good": {"const": True},
    },
}


@pytest.mark.parametrize(
    "value",
    [
        {"name": "Ada"},
        {"name": "Ada", "age": 36.0},
        {"name": "Ada", "age": None},
        {"name": "Ada", "tags": ["a", 1], "good": True},
    ],
)
def test_what_fits_is_allowed(value):
    check(PERSON)
    assert allows(PERSON, value)


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"name": "A"},
        {"name": "Ada Lovelace"},
        {"name": 7},
        {"name": "Ada", "age": -1},
        {"name": "Ada", "age": 151},
        {"name": "Ada", "age": 1.5},
        {"name": "Ada", "age": True},
        {"name": "Ada", "tags": []},
        {"name": "Ada", "tags": ["a", 1, "a"]},
        {"name": "Ada", "tags": [True]},
        {"name": "Ada", "good": 1},
        {"name": "Ada", "more": 1},
    ],
)
def test_what_does_not_fit_is_not(value):
    assert not allows(PERSON, value)


def test_a_schema_without_words_allows_everything():
    for value in (None, True, 1, "x", [1], {"a": 1}):
        assert allows({}, value)


def deep(levels):
    return {} if not levels else {"items": deep(levels - 1)}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"pattern": "x"}, "'pattern' is not known"),
        ({"type": "text"}, "no value for type"),
        ({"type": []}, "no value for type"),
        ({"enum": "abc"}, "no value for enum"),
        ({"required": "name"}, "no value for required"),
        ({"required": [1]}, "no value for required"),
        ({"properties": []}, "no value for properties"),
        ({"additionalProperties": {}}, "no value for additionalProperties"),
        ({"minimum": True}, "no value for minimum"),
        ({"maxLength": "3"}, "no value for maxLength"),
        ({"items": 3}, "no schema"),
        ({"properties": {"a": {"x": 1}}}, "schema.properties.a"),
        (deep(DEEPEST + 1), "no schema"),
        ("text", "no schema"),
    ],
)
def test_a_schema_that_would_not_be_heeded_is_refused(schema, said):
    with pytest.raises(InvalidInput, match=said):
        check(schema)

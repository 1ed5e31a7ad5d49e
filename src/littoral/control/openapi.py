"""The OpenAPI document of the admin API, made from the route list."""

import re
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from littoral.control.answer import ErrorAnswer
from littoral.control.route import Public, Route, item_of

_IN_PATH = re.compile(r"\{(\w+)\}")
_JSON = "application/json"


def document(routes: Sequence[Route], *, build: str) -> Mapping[str, object]:
    """Describe the routes as OpenAPI 3.1."""
    records = [ErrorAnswer, *(kind for route in routes for kind in _records(route))]
    schemas, components = msgspec.json.schema_components(
        records, schema_hook=_anything, ref_template="#/components/schemas/{name}"
    )
    by_record = dict(zip(records, schemas, strict=True))
    paths: dict[str, dict[str, object]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_record)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Littoral admin API", "version": build},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _anything(kind: type[object]) -> dict[str, object]:
    """A member of an open mapping may be any JSON value; there is no other foreign type."""
    if kind is not object:
        raise NotImplementedError(f"no schema for {kind!r}")
    return {"description": "Any JSON value."}


def _records(route: Route) -> list[object]:
    found = [item_of(route.gives) or route.gives]
    return [*found, route.takes] if route.takes else found


def _operation(route: Route, schemas: Mapping[object, object]) -> Mapping[str, object]:
    item = item_of(route.gives)
    schema = schemas[item or route.gives]
    if item is not None:
        items = {"type": "array", "items": schema}
        schema = {"type": "object", "properties": {"items": items}, "required": ["items"]}
    operation: dict[str, object] = {
        "summary": route.summary,
        "security": [] if isinstance(route.policy, Public) else [{"key": []}],
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in cast("list[str]", _IN_PATH.findall(route.path))
            ),
            *(
                {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
                for name, text in route.query.items()
            ),
        ],
        "responses": {
            str(route.status): _content("Done.", schema),
            "default": _content("Refused, or failed.", schemas[ErrorAnswer]),
        },
    }
    if route.takes:
        operation["requestBody"] = {
            "required": True,
            "content": {_JSON: {"schema": schemas[route.takes]}},
        }
    return operation


def _content(text: str, schema: object) -> Mapping[str, object]:
    return {"description": text, "content": {_JSON: {"schema": schema}}}

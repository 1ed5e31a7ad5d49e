"""``littoral openapi``: the OpenAPI document of the data plane."""

import json

from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.gateway.openapi import document


def openapi(*, reach: Reach = HERE) -> None:
    """Print the OpenAPI document of the data plane, as ``/openapi.json`` serves it.

    Args:
        reach: Options of every command.
    """
    shown = screen(as_json=reach.json)
    told = document()
    shown.raw(json.dumps(told, indent=1) + "\n")
    shown.json(told)

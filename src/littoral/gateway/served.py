"""Served: a request that was answered, as far as an audit must know it."""

from typing import NamedTuple

from littoral.gateway.asked import Asked
from littoral.gateway.route import Route
from littoral.gateway.table import KeyRow


class Served(NamedTuple):
    """Whose request it was, for which model, what was asked, and who answered what.

    ``name`` is the model's; ``answer`` is as the client got it, ``size`` the request's bytes.
    """

    key: KeyRow
    name: str
    route: Route
    asked: Asked
    rid: bytes
    deployment: str
    answer: bytes
    size: int

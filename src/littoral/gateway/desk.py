"""Desk: what is answered without asking an engine."""

from typing import Final

from littoral.domain.errors import UnknownModel, UnknownName
from littoral.gateway import admission
from littoral.gateway.dialect import openai
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.table import KeyRow, Tables

_MODELS: Final = b"/v1/models"


def serves(url: bytes) -> bool:
    """Whether a path, without its query, is answered here."""
    return url == _MODELS or url.startswith(_MODELS + b"/")


def nothing(url: bytes) -> Refusal:
    """The refusal of a path that nobody answers."""
    return refuse(UnknownName, f"nothing is served at {url.decode('ascii', 'replace')!r}")


def models(tables: Tables, key: KeyRow, url: bytes) -> bytes | Refusal:
    """List the models that a key may use, or show one."""
    names = admission.usable(tables, key)
    if url == _MODELS:
        return openai.models_body(names, created=tables.created)
    name = url[len(_MODELS) + 1 :].decode("ascii", "replace")
    if name in names:
        return openai.model_body(name, created=tables.created)
    known = ", ".join(names[:50]) or "none"
    return refuse(UnknownModel, f"no model named {name!r}; this key may use: {known}")

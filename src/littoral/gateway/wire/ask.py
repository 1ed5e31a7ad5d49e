"""Ask: what the head of an inference request asks for, and whether it may be asked now."""

from typing import Final

from msgspec import Struct

from littoral.domain.errors import Overloaded
from littoral.gateway import desk, head
from littoral.gateway.admission import over
from littoral.gateway.head import Terms
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.route import Route
from littoral.gateway.table import KeyRow
from littoral.gateway.wire.intake import Message
from littoral.gateway.wire.worker import Worker

_BEHIND: Final = refuse(Overloaded, "this gateway has too much to do", retry_after_s=2.0)


class Ask(Struct, gc=False):
    """What the head of an inference request asks for, its key verified under tables ``number``."""

    route: Route
    key: KeyRow
    terms: Terms
    keep: bool
    number: int


def ask_of(route: Route, message: Message, key: KeyRow | Refusal, *, number: int) -> Ask | Refusal:
    """What a message asks for, or the first reason to refuse it."""
    if isinstance(key, Refusal):
        return key
    terms = head.terms_of(message.known)
    if message.method != b"POST":
        return desk.wrong_method(message.method)
    if isinstance(terms, Refusal):
        return terms
    return Ask(route, key, terms, message.keep, number)


def barred(worker: Worker, ask: Ask) -> Refusal | None:
    """Why nothing of this key or this urgency is taken now, if so."""
    key = ask.key
    if worker.wall_us >= key.expires_us:
        return over(key)
    if worker.strain.level and worker.strain.refuses(max(ask.terms.level, key.level)):
        return _BEHIND
    return None

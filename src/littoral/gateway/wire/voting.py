"""Voting: what is answered without an engine, votes among it, which go on to the node."""

from littoral.domain.errors import Unavailable
from littoral.gateway import desk, vote
from littoral.gateway.desk import Question
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.table import KeyRow
from littoral.gateway.wire.worker import Worker


def show(worker: Worker, key: KeyRow, question: Question) -> bytes | Refusal:
    """Take a vote, or show what models there are."""
    if question.url.partition(b"?")[0] != vote.PATH:
        return desk.show(worker.source.tables, key, question)
    if question.method != b"POST":
        return desk.wrong_method(question.method)
    if worker.audit is None:
        return refuse(Unavailable, "this gateway has no node yet", retry_after_s=1.0)
    found = vote.read(key, question.body, at_us=worker.wall_us)
    if isinstance(found, Refusal):
        return found
    worker.audit.vote(found)
    return vote.told(found)

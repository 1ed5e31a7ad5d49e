"""Adapting: what a project's settings change about a request before it asks for a place."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from littoral.cost.predictor import unknown
from littoral.domain.endpoint import Endpoint
from littoral.domain.errors import Overloaded
from littoral.domain.ids import DeploymentName
from littoral.domain.traffic import BrownoutPolicy, CachePolicy, SemanticPolicy
from littoral.domain.usage import CACHE
from littoral.gateway.brownout import Measures, Steps, measures, named
from littoral.gateway.cache import Answer as Kept
from littoral.gateway.cache import consent, key_of
from littoral.gateway.question import question_of
from littoral.gateway.queue import INTERACTIVE
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.served import Served
from littoral.gateway.settlement import OK
from littoral.gateway.table import Place
from littoral.gateway.tally import Usage
from littoral.gateway.wire.waiting import FIRST_BYTE_S, INTERNAL, Waiting
from littoral.placement.decide import Verdict
from littoral.placement.pairing import drawn, may_be

MOST_ASKED: Final = 256 * 1024
"""Longest request whose answer is kept, bytes."""
STALE_S: Final = 86_400.0
"""How long after its time an answer may still be given in a brown-out, seconds."""
_KNOWN: Final = Verdict(0, "cached", 0.0, 0.0, 0.0, 0.0, (0, 0, 0, 0, 0, 0))
_DIMMED: Final = refuse(
    Overloaded, "this project refuses requests that are not interactive for now", retry_after_s=5.0
)
_ENCODE: Final = msgspec.json.Encoder().encode


class Adapting(Waiting):
    """Brown-out, and the cache."""

    _shelf = b""
    """Under which key the answer is to be kept, and how long."""
    _keep_s = 0.0
    watched = True
    """Whether it may be audited: not what the gateway itself asks."""
    _stop: Callable[[], None] | None = None
    """Ends the search for the meaning of the question, while there is one."""
    _meaning: tuple[bytes, Sequence[float]] | None = None
    """What must agree besides the meaning, and the meaning."""

    def adapt(self, now: float) -> Refusal | bool:
        """Do what the project wants done; True where the answer has been given already."""
        key, done = self.key, Measures()
        if key.audits and self.watched:
            self._watch()
        if key.brownout is not None:
            done = self._dim(key.brownout)
            if done.refused:
                self._worker.counters["dimmed"] += 1
                return _DIMMED
        if key.cache is None or self._size > MOST_ASKED:
            return False
        return self._look(key.cache, now, stale_s=STALE_S if done.stale else 0.0)

    def _watch(self) -> None:
        """Keep the answer where it may have to be compared with another."""
        wanted = self.key.wanted(self.model.name)
        if wanted is not None and may_be(wanted.standing, drawn(self.rid)):
            self._copy = []

    # brown-out

    def _dim(self, policy: BrownoutPolicy) -> Measures:
        project = self.key.grant.project
        rung = self.model.traffic.rung(project, policy.after_s)
        if not rung:
            return Measures()
        smaller = policy.smaller if self._may_be_served_by(policy.smaller) else None
        steps = Steps(
            policy.shorter if self.route.writes else None, smaller, policy.cached, policy.refuse
        )
        level = max(self.terms.level, self.key.level)
        done = measures(rung, steps, is_interactive=level == INTERACTIVE)
        if done.cap is not None:
            cap = self.asked.cap
            self.asked.cap = done.cap if cap is None else min(cap, done.cap)
        if done.model is not None:
            self.model = self._worker.source.tables.models[done.model]
        met = ", ".join(named(done._replace(stale=False)))
        if met:
            self._notes += b"x-littoral-brownout: %b\r\n" % met.encode()
        return done

    def _may_be_served_by(self, name: str | None) -> bool:
        """Whether a smaller model is there, allowed, and can do what is needed."""
        model = self._worker.source.tables.models.get(name) if name else None
        if model is None or not self.key.may_use(model.name):
            return False
        return any(row.ready and not self.asked.needs & ~row.mask for row in model.rows)

    # the cache

    def _look(self, policy: CachePolicy, now: float, *, stale_s: float) -> Refusal | bool:
        body, terms = self.asked.body, self.terms
        is_repeatable = (
            not self.route.writes
            or getattr(body, "temperature", None) == 0
            or getattr(body, "seed", None) is not None
        )
        allowed = consent(
            control=terms.control,
            wished=terms.wished,
            is_repeatable=is_repeatable,
            all_kept=policy.every,
        )
        if not allowed.keep:
            return False
        cache, shelf = self._worker.memory.cache, self._shelf_of()
        if allowed.look:
            known = cache.find(shelf, now)
            if known is None and stale_s:
                known = cache.find(shelf, now, stale_s=stale_s)
                if known is not None:
                    self._notes += b"x-littoral-brownout: cached\r\n"
            if known is not None:
                return self._give(known, now)
        self._shelf, self._keep_s = shelf, policy.ttl_s
        if policy.semantic is not None and allowed.look and self._seek(policy.semantic):
            return True
        self._miss()
        return False

    def _miss(self) -> None:
        self._copy = []
        self._notes += b"x-littoral-cache: miss\r\n"

    def _seek(self, policy: SemanticPolicy) -> bool:
        """Look for a question that means the same; False where this one cannot be compared."""
        worker, question = self._worker, question_of(self.asked.body)
        if question is None or worker.embed is None:
            return False
        kind = f"{self.model.name} {id(self.route)} {self.asked.cap} ".encode()
        project, revision = self.key.grant.project, self.model.revision
        scope = key_of(project=project, revision=revision, body=kind + question.rest)

        over: list[bool] = []

        def heard(vector: Sequence[float] | None) -> None:
            over.append(True)
            self._stop = None
            try:
                refusal = self._meant(policy, scope, vector)
            except Exception as error:  # noqa: BLE001  the request edge: one request fails, not all
                worker.fault(error)
                refusal = INTERNAL
            if refusal is not None:
                self._refused(refusal)

        self._client.due = min(self.deadline, worker.time() + FIRST_BYTE_S)
        stop = worker.embed(worker, self.key, model=policy.model, text=question.text, heard=heard)
        if not over:
            self._stop = stop
        return True

    def _meant(
        self, policy: SemanticPolicy, scope: bytes, vector: Sequence[float] | None
    ) -> Refusal | None:
        """Answer with what was said to a question like this one, else ask an engine."""
        memory, now, project = self._worker.memory, self._worker.time(), self.key.grant.project
        if vector is not None:
            threshold = policy.threshold
            key = memory.neighbours.nearest(project, scope, vector, threshold=threshold)
            known = memory.cache.find(key, now) if key is not None else None
            if known is not None:
                given = self._give(known, now)
                if given is not False:
                    return None if given is True else given
            self._meaning = scope, vector
        self._miss()
        return self.queue_up(now)

    def leave(self) -> None:
        """Wait no longer, nor for what the question means."""
        super().leave()
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()

    def _shelf_of(self) -> bytes:
        asked, route = self.asked, self.route
        # each route answers in a shape of its own, whatever else they share
        kind = f"{self.model.name} {id(route)} {asked.cap} "
        body = kind.encode() + _ENCODE(asked.body)
        if asked.origin is not None:
            body += _ENCODE(asked.origin)
        return key_of(project=self.key.grant.project, revision=self.model.revision, body=body)

    def _give(self, known: Kept, now: float) -> Refusal | bool:
        """Answer with what is known: limited and booked like any answer, and free of cost."""
        worker, tokens_in, gates = self._worker, known.tokens_in, self.gates()
        refusal = self.unrecorded(gates)
        if refusal is not None:
            return refusal
        slot = worker.flights.take()
        if slot < 0:
            return False
        self._started = now
        self._verdict, self.place = _KNOWN, self._place_of_cache()
        refusal = self.reserve(gates, slot) if gates else None
        if refusal is not None:
            worker.flights.put_back(slot)
            return refusal
        worker.counters["cache_hits"] += 1
        data = known.renamed(self._name())
        self._notes += b"x-littoral-cache: hit\r\n"
        self.open(slot)
        if self.asked.streamed:
            head = self._stream_head()
            self.settle(OK, Usage(tokens_in, tokens_in, known.tokens_out), 0)
            self._finish(head, data, good=True)
        else:
            cost = self.settle(OK, Usage(tokens_in, tokens_in, known.tokens_out), 0)
            self._deliver(data, cost)
        return True

    def _name(self) -> bytes:
        """What ids within the answer are made of."""
        return self.rid.removeprefix(b"req_")

    def _place_of_cache(self) -> Place:
        places, worker = self.model.places, self._worker
        deployment = places[0].endpoint.deployment if places else DeploymentName(self.model.name)
        endpoint = Endpoint(
            id=CACHE, deployment=deployment, serves=self.model.name, engine="cache", state="ready"
        )
        return Place(endpoint, unknown(CACHE), worker.source.node)

    def keep(self) -> None:
        """Keep the answer that was given in full, settled before, where it is to be kept."""
        copy, self._copy = self._copy, None
        if copy is None:
            return
        data, audit = b"".join(copy), self._worker.audit
        if audit is not None and self.key.audits and self.watched:
            key, name, deployment = self.key, self.model.name, self.place.endpoint.deployment
            asked = self.asked
            audit.seen(Served(key, name, self.route, asked, self.rid, deployment, data, self._size))
        if self._shelf:
            tokens_in, _, tokens_out = self.used
            answer = Kept(data, tokens_in, tokens_out, self._name())
            self._worker.memory.cache.keep(
                self._shelf, answer, until=self._worker.time() + self._keep_s
            )
            if self._meaning is not None:
                (scope, meaning), project = self._meaning, self.key.grant.project
                self._worker.memory.neighbours.keep(project, scope, meaning, key=self._shelf)

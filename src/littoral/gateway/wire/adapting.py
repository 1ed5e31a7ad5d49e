"""Adapting: what a project's settings change about a request before it asks for a place."""

from typing import Final

import msgspec

from littoral.cost.predictor import unknown
from littoral.domain.endpoint import Endpoint
from littoral.domain.errors import Overloaded
from littoral.domain.ids import DeploymentName
from littoral.domain.traffic import BrownoutPolicy, CachePolicy
from littoral.domain.usage import CACHE
from littoral.gateway.brownout import Measures, Steps, measures, named
from littoral.gateway.cache import Answer as Kept
from littoral.gateway.cache import consent, key_of
from littoral.gateway.queue import INTERACTIVE
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.settlement import OK
from littoral.gateway.table import Place
from littoral.gateway.tally import Usage
from littoral.gateway.wire.waiting import Waiting
from littoral.placement.decide import Verdict

MOST_ASKED: Final = 256 * 1024
"""Longest request whose answer is kept, bytes."""
STALE_S: Final = 86_400.0
"""How long after its time an answer may still be given in a brown-out, seconds."""
_KNOWN: Final = Verdict(0, "cached", 0.0, 0.0, 0.0, 0.0, (0, 0, 0, 0))
_DIMMED: Final = refuse(
    Overloaded, "this project refuses requests that are not interactive for now", retry_after_s=5.0
)
_ENCODE: Final = msgspec.json.Encoder().encode


class Adapting(Waiting):
    """Brown-out, and the cache."""

    _shelf = b""
    """Under which key the answer is to be kept, and how long."""
    _keep_s = 0.0

    def adapt(self, now: float) -> Refusal | bool:
        """Do what the project wants done; True where the answer has been given already."""
        key, done = self.key, Measures()
        if key.brownout is not None:
            done = self._dim(key.brownout)
            if done.refused:
                self._worker.counters["dimmed"] += 1
                return _DIMMED
        if key.cache is None or self._size > MOST_ASKED:
            return False
        return self._look(key.cache, now, stale_s=STALE_S if done.stale else 0.0)

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
        self._shelf, self._keep_s, self._copy = shelf, policy.ttl_s, []
        self._notes += b"x-littoral-cache: miss\r\n"
        return False

    def _shelf_of(self) -> bytes:
        asked, route = self.asked, self.route
        kind = f"{self.model.name} {route.operation} {type(route.voice).__name__} {asked.cap} "
        body = kind.encode() + _ENCODE(asked.body)
        if asked.origin is not None:
            body += _ENCODE(asked.origin)
        return key_of(project=self.key.grant.project, revision=self.model.revision, body=body)

    def _give(self, known: Kept, now: float) -> Refusal | bool:
        """Answer with what is known: limited and booked like any answer, and free of cost."""
        worker, tokens_in, gates = self._worker, known.tokens_in, self.gates()
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
        self._notes += b"x-littoral-cache: hit\r\n"
        self.open(slot)
        if self.asked.streamed:
            head = self._stream_head()
            self.settle(OK, Usage(tokens_in, tokens_in, known.tokens_out), 0)
            self._finish(head, known.data, good=True)
        else:
            cost = self.settle(OK, Usage(tokens_in, tokens_in, known.tokens_out), 0)
            self._deliver(known.data, cost)
        return True

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
        if copy is not None:
            tokens_in, _, tokens_out = self._used
            answer = Kept(b"".join(copy), tokens_in, tokens_out)
            self._worker.memory.cache.keep(
                self._shelf, answer, until=self._worker.time() + self._keep_s
            )

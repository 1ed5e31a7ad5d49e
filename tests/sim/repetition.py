"""Questions of which some are asked often, with and without the exact-match cache."""

from dataclasses import dataclass

from littoral.gateway.cache import Answer, Cache, key_of
from sim.arena import World

PROMPTS = 20_000
ANSWER_BYTES = 2000
RATE = 20.0
RUN_S = 1800.0
BUSY_S = 1.0
HIT_S = 0.001


@dataclass(frozen=True, slots=True)
class Reuse:
    """Share of requests answered from the cache, mean latency, engine seconds a request."""

    hits: float
    mean_s: float
    engine_s: float


def repetition(*, most_bytes: int, ttl_s: float, power: float = 1.0, seed: int = 7) -> Reuse:
    """Two projects ask from the same prompts, whose popularity falls with ``power`` of the rank."""
    world = World(seed)
    cache, draw = Cache(most_bytes), world.zipf(PROMPTS, power)
    answer = Answer(b"x" * ANSWER_BYTES, 100, 400)
    asked = hits = 0

    def ask(project: str) -> None:
        nonlocal asked, hits
        asked += 1
        key = key_of(project=project, revision=b"1", body=b"%d" % draw())
        if cache.find(key, world.now) is not None:
            hits += 1
        else:
            until = world.now + BUSY_S + ttl_s
            world.at(world.now + BUSY_S, lambda: cache.keep(key, answer, until=until))

    for project in "ab":
        world.stream(RATE / 2, lambda p=project: ask(p), start=0.0, until=RUN_S)
    world.run(RUN_S)
    share = hits / asked
    return Reuse(share, share * HIT_S + (1 - share) * BUSY_S, (1 - share) * BUSY_S)

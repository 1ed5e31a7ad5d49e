"""The ledger against what clients received, on the real engine, with cancels and kills."""

import random
import threading

import pytest

from e2e import load
from littoral.testing import gguf

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def serve_tiny(site, tmp_path, *names: str) -> None:
    """Deploy the tiny model once for each name."""
    pytest.importorskip("xllamacpp", reason="the real engine is not installed")
    weights = tmp_path / "tiny.gguf"
    gguf.write(weights)
    version = {"name": "v1", "source": f"file:{weights}"}
    document = {"kind": "Model", "metadata": {"name": "tiny"}, "spec": {"versions": [version]}}
    assert site.request("POST", "/api/v1/apply", {"documents": [document]})[0] == 200
    assert site.request("POST", "/api/v1/models/tiny/pull", {})[0] in {200, 202}
    for name in names:
        site.deploy(name, engine="llama_cpp", model="tiny", slots=4, context=256)


def killer(site, roles: tuple[str, ...], stop: threading.Event, kills: dict[str, int]) -> None:
    """Kill a random role, wait until the site is whole again, and go on until told to stop."""
    rng = random.Random(7)
    while not stop.wait(rng.uniform(0.5, 2.0)):
        role = rng.choice(roles)
        if site.kill(role) is not None:
            kills[role] = kills.get(role, 0) + 1
        site.wait_for(site.ready, f"the site after killing {role}", timeout_s=60)


def test_the_ledger_equals_what_clients_received(make_site, tmp_path):
    """10,000 requests with cancels while processes are killed: every token is booked once."""
    site = make_site(environ={"LITTORAL_CRASH_LIMIT": "0", "LITTORAL_RESTART_MAX_S": "1"})
    serve_tiny(site, tmp_path, "tiny-a", "tiny-b")
    key, stop, kills = site.load_key(), threading.Event(), {}
    roles = ("gateway", "control", "node", "engine")
    nemesis = threading.Thread(target=killer, args=(site, roles, stop, kills))
    nemesis.start()
    tally = load.run(site, key=key, requests=10_000, models=["tiny-a", "tiny-b"])
    stop.set()
    nemesis.join()
    rows = site.ledger()
    whole, cut = tally.complete(), tally.partial()
    print(f"\n{len(whole)} whole, {len(cut)} cut, {tally.unanswered()} unanswered, kills {kills}")
    print(f"tokens of whole answers: {sum(g.tokens_out for g in whole.values())} out")
    assert load.compare(tally, rows) == []
    assert len(whole) > 5_000
    assert len(cut) > 500
    assert sum(kills.values()) >= 10


def test_the_comparison_finds_a_lost_and_a_doubled_row(make_site, tmp_path):
    """The check itself can fail: take one row away, double another, change a count."""
    site = make_site()
    serve_tiny(site, tmp_path, "tiny-a")
    tally = load.run(site, key=site.load_key(), requests=60, models=["tiny-a"])
    rows = site.ledger()
    assert load.compare(tally, rows) == []
    mine = next(r for r in rows if r["request"] in tally.complete())
    assert load.compare(tally, [r for r in rows if r is not mine])
    assert load.compare(tally, [*rows, mine])
    assert load.compare(tally, [r | {"tokens_out": r["tokens_out"] + (r is mine)} for r in rows])

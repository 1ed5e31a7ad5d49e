"""kill -9 of every kind of process under load: nothing acknowledged is lost or doubled."""

import random
import threading

import pytest

from e2e import load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

KILLS = 200


class Nemesis(threading.Thread):
    """Kills one process again and again, each time once the site is whole."""

    def __init__(self, site, victim: str) -> None:
        super().__init__()
        self.site, self.victim = site, victim
        self.kills = 0
        self.stuck = ""
        self.done = threading.Event()

    def run(self) -> None:
        """Until the number of kills is reached, or the site does not come back."""
        rng = random.Random(11)
        try:
            while self.kills < KILLS:
                threading.Event().wait(rng.uniform(0.05, 0.4))
                self.kills += self.site.kill(self.victim) is not None
                self.site.wait_for(self.whole, f"life after {self.victim}")
        except TimeoutError as late:
            self.stuck = str(late)
        finally:
            self.done.set()

    def whole(self) -> bool:
        """Whether everything serves again."""
        return self.site.ready() and self.site.serves("shaky")


@pytest.mark.parametrize("role", ["engine", "gateway", "control", "node"])
def test_two_hundred_kills_lose_and_double_nothing(make_site, role):
    """While one kind of process dies again and again, every whole answer is booked once."""
    site = make_site(environ={"LITTORAL_CRASH_LIMIT": "0", "LITTORAL_RESTART_MAX_S": "0.1"})
    site.deploy("steady", engine="fake", model="echo", options={"tpot_ms": 2})
    site.deploy("shaky", engine="fake", model="echo", options={"tpot_ms": 2})
    key = site.load_key()
    nemesis = Nemesis(site, "engine:shaky" if role == "engine" else role)
    nemesis.start()
    until = nemesis.done.is_set
    tally = load.run(
        site,
        key=key,
        requests=10**9,
        models=["steady", "shaky"],
        threads=4,
        until=until,
        pause_s=0.02,
    )
    nemesis.join()
    rows = site.ledger()
    whole, cut = tally.complete(), tally.partial()
    print(f"\n{role}: {nemesis.kills} kills, {len(whole)} whole, {len(cut)} cut, {len(rows)} rows")
    assert not nemesis.stuck
    assert nemesis.kills >= KILLS
    assert len(whole) > KILLS
    assert load.compare(tally, rows) == []
    if role == "engine":
        assert not tally.unanswered()

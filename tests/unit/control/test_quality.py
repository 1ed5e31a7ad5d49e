"""What audits and votes come to: folded once each, kept over restarts, told when a tag closes."""

from dataclasses import dataclass, field, replace

import pytest

from littoral.control.policies import check_policy
from littoral.control.quality import MOST_VOTED, QualityBook
from littoral.control.quality import VOTED as REMEMBERED
from littoral.domain.audit import Finding, Vote
from littoral.domain.errors import InvalidInput
from littoral.domain.ids import DeploymentName, KeyId, NodeId, RequestId
from littoral.domain.outbox import Batch, Row
from littoral.domain.policy import Audits, Judge, PolicySpec, Quality
from littoral.domain.units import Micros
from littoral.placement.quality import YOUNG
from littoral.testing.clock import SettableClock
from littoral.testing.inbox import MemoryInbox
from littoral.testing.ledger import MemoryLedger
from littoral.testing.sink import ListSink
from littoral.testing.state import MemoryState
from littoral.testing.usage import usage_batch, usage_record

NODE = NodeId("nd_1")
AUDITS = Audits(reference="cloud", candidate="edge")
VOTED = replace(AUDITS, judge=Judge(kind="vote"))


def spec_of(audits=AUDITS, **more):
    return PolicySpec(quality=Quality(max_loss=0.1, audits=audits), **more)


@dataclass
class World:
    """A control that is started again and again on one state."""

    state: MemoryState = field(default_factory=MemoryState)
    inbox: MemoryInbox = field(default_factory=MemoryInbox)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    sink: ListSink = field(default_factory=ListSink)
    specs: dict = field(default_factory=lambda: {("Policy", "p"): spec_of()})
    sent: int = 0

    def book(self) -> QualityBook:
        return QualityBook(
            self.state,
            self.inbox,
            self.ledger,
            specs=lambda: self.specs,
            clock=SettableClock(),
            sink=self.sink,
        )

    def send(self, *notes) -> None:
        """What a node found comes to the inbox."""
        rows = []
        for note in notes:
            self.sent += 1
            held = {"finding": note} if isinstance(note, Finding) else {"vote": note}
            rows.append(Row(seq=self.sent, **held))
        self.inbox.apply(NODE, "ob", Batch(lane="sample", rows=tuple(rows)))


@pytest.fixture
def world() -> World:
    return World()


def finding(tag="t", loss=0.0, **fields):
    given = {"policy": "p", "candidate": DeploymentName("edge"), "judge": "exact", "cheap": True}
    given |= {"probability": 1.0, "cost": 0.001, **fields}
    return Finding(at_us=Micros(1), tag=tag, loss=loss, **given)


def test_findings_decide_which_tags_the_candidate_gets_and_people_hear_of_it(world):
    book = world.book()
    world.send(*[finding("good") for _ in range(YOUNG)])
    assert book.fold()
    (standing,) = book.standings(world.specs)
    assert (standing.decided, standing.tags, standing.candidate) == (True, ("good",), "edge")
    assert (standing.cheap, standing.dear) == (0.15, 0.05)
    world.send(*[finding("good", 1.0) for _ in range(60)])
    assert book.fold()
    assert book.standings(world.specs)[0].tags == ()
    assert world.sink.codes() == ["quality.opened", "quality.closed"]
    assert "edge is kept from good of the policy 'p'" in world.sink.events[1].message


def test_nothing_new_changes_nothing(world):
    book = world.book()
    assert not book.fold()
    world.send(finding())
    assert not book.fold()
    assert book.views()[0].audits == 1


def test_each_finding_counts_once_whenever_control_ends(world):
    world.send(*[finding() for _ in range(7)])
    world.book().fold()
    again = world.book()
    again.fold()
    assert again.views()[0].audits == 7
    world.send(finding())
    assert world.book().views()[0].audits == 7
    again.fold()
    assert world.book().views()[0].audits == 8


def test_an_inbox_that_was_lost_begins_anew_and_what_was_learned_stays(world):
    world.send(*[finding() for _ in range(5)])
    world.book().fold()
    world.inbox, world.sent = MemoryInbox(), 0
    world.send(finding())
    book = world.book()
    book.fold()
    assert book.views()[0].audits == 6


def test_findings_of_other_pairs_and_policies_are_left_out(world):
    world.send(
        finding(policy="gone"), finding(candidate=DeploymentName("old")), finding(judge="model")
    )
    book = world.book()
    book.fold()
    assert book.views()[0].audits == 0


def test_another_pair_or_judge_begins_anew_and_another_budget_does_not(world):
    world.send(finding(), finding())
    book = world.book()
    book.fold()
    world.specs = {("Policy", "p"): PolicySpec(quality=Quality(max_loss=0.2, audits=AUDITS))}
    assert (book.views()[0].audits, book.views()[0].budget) == (2, 0.2)
    world.specs = {("Policy", "p"): spec_of(replace(AUDITS, reference="other"))}
    assert book.views()[0].audits == 0


def test_people_see_losses_with_errors_the_guard_and_the_cost(world):
    world.send(*[finding("a", 1.0) for _ in range(3)], finding("b", cheap=False))
    book = world.book()
    book.fold()
    (view,) = book.views()
    assert (view.policy, view.candidate, view.reference, view.judge) == (
        "p",
        "edge",
        "cloud",
        "exact",
    )
    assert view.loss == pytest.approx(0.75)
    assert view.error > 0.0
    assert view.spent == pytest.approx(0.004)
    assert [(each.tag, each.share, each.allowed) for each in view.tags] == [
        ("a", 0.75, False),
        ("b", 0.25, False),
    ]


def test_without_an_audit_there_is_no_error_to_show(world):
    assert world.book().views()[0].error is None
    world.specs = {("Policy", "q"): PolicySpec()}
    assert world.book().views() == ()


# votes


def vote(number, score, key="k1"):
    request = RequestId(f"rq_{number}")
    return Vote(at_us=Micros(1), request=request, key=KeyId(key), score=score)


@pytest.fixture
def voted(world):
    """Four requests: two at the candidate, two at the reference, of a policy that asks callers."""
    world.specs = {("Policy", "p"): spec_of(VOTED)}
    names = ("edge", "cloud", "edge", "cloud")
    records = [
        usage_record(at, deployment=DeploymentName(name), tag="t" if at % 2 else "")
        for at, name in enumerate(names)
    ]
    records.append(usage_record(8, deployment=DeploymentName("third")))
    records.append(usage_record(9, status="failed"))
    world.ledger.apply(NODE, "ob", usage_batch(records))
    return world


def test_votes_on_both_sides_become_losses(voted):
    voted.ledger.apply(
        NODE, "ob", usage_batch([usage_record(10, tag="t", deployment=DeploymentName("edge"))], 7)
    )
    voted.send(vote(1, 1.0), vote(10, 0.25))
    book = voted.book()
    book.fold()
    (view,) = book.views()
    assert (view.audits, [each.tag for each in view.tags]) == (1, ["t"])
    assert view.loss == pytest.approx(0.75)


def test_a_request_is_voted_on_once_and_by_its_own_key_only(voted):
    voted.send(vote(0, 1.0), vote(0, 0.0), vote(2, 0.0, key="other"), vote(77, 1.0), vote(9, 1.0))
    voted.send(vote(8, 0.0))
    voted.book().fold()
    voted.send(vote(0, 0.0))
    book = voted.book()
    book.fold()
    assert book.views()[0].audits == 0
    kept = voted.state.value("quality/p")
    assert b'"cheap":{"count":1.0,"total":1.0}' in kept


def test_votes_on_what_is_not_the_voters_keep_nobody_from_voting_and_take_no_room(voted):
    voted.send(vote(0, 0.0, key="other"))
    voted.send(*(vote(n, 0.0) for n in range(1000, 1000 + MOST_VOTED)))
    voted.send(vote(0, 1.0))
    voted.book().fold()
    assert b'"cheap":{"count":1.0,"total":1.0}' in voted.state.value("quality/p")
    assert voted.state.value(REMEMBERED) == b'["rq_0"]'


def test_votes_count_nothing_where_another_judge_is_declared(voted):
    voted.specs = {("Policy", "p"): spec_of()}
    voted.send(vote(0, 1.0), vote(1, 1.0))
    book = voted.book()
    book.fold()
    assert book.views()[0].audits == 0
    voted.specs = {}
    voted.send(vote(2, 1.0))
    assert not book.fold()


# what may be declared


KNOWN = [("Deployment", name) for name in ("edge", "cloud", "sage")]


def declared(audits, **more):
    check_policy(spec_of(audits, **more), KNOWN)


def test_good_judges_may_be_declared():
    declared(AUDITS, deployments=("edge", "cloud"))
    declared(VOTED)
    declared(replace(AUDITS, judge=Judge(kind="model", deployment="sage")))
    declared(replace(AUDITS, judge=Judge(kind="test", schema={"type": "object"}, pattern="a|b")))


@pytest.mark.parametrize(
    ("audits", "said"),
    [
        (replace(AUDITS, candidate="none"), "audits.candidate: there is no Deployment 'none'"),
        (replace(AUDITS, candidate="cloud"), "audits.candidate: it is the reference"),
        (replace(AUDITS, per_minute=0), "audits.per_minute"),
        (replace(AUDITS, off=("t",) * 257), "audits.off"),
        (replace(AUDITS, judge=Judge(kind="model")), "there is no Deployment ''"),
        (replace(AUDITS, judge=Judge(kind="test")), "needs pattern or answer or schema"),
        (replace(AUDITS, judge=Judge(kind="exact", answer="x")), "has no answer"),
        (replace(AUDITS, judge=Judge(kind="test", pattern="(")), "no regular expression"),
        (
            replace(AUDITS, judge=Judge(kind="test", pattern=f"a{{{10**20}}}")),
            "no regular expression",
        ),
        (replace(AUDITS, judge=Judge(kind="test", pattern="(" * 2000)), "no regular expression"),
        (replace(AUDITS, judge=Judge(kind="test", pattern="^(a+)+$")), "might take too long"),
        (replace(AUDITS, judge=Judge(kind="test", schema={"x": 1})), "judge.schema: 'x'"),
    ],
)
def test_what_could_not_be_judged_is_refused(audits, said):
    with pytest.raises(InvalidInput) as refused:
        declared(audits)
    assert said in str(refused.value)


def test_nobody_outside_the_policys_deployments_may_be_asked():
    with pytest.raises(InvalidInput, match=r"not among spec\.deployments"):
        declared(AUDITS, deployments=("edge",))
    with pytest.raises(InvalidInput, match=r"judge\.deployment"):
        declared(
            replace(AUDITS, judge=Judge(kind="model", deployment="sage")),
            deployments=("edge", "cloud"),
        )

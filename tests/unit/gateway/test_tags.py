"""What kind a request is: said by its key or a policy, in its record, and predictions go by it."""

import pytest

from littoral.domain.deployment import Assignment
from littoral.domain.ids import DeploymentName, NodeId
from littoral.domain.policy import Match, Policy, PolicySpec
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros, Seconds


def declare(rig, *policies):
    assignment = Assignment(
        name=DeploymentName("d"), revision=1, serves="m", engine="fake", model="m"
    )
    rig.worker.source.take_snapshot(
        Snapshot(
            epoch=1,
            version=2,
            issued_us=Micros(1_000_000),
            node=NodeId("nd"),
            pepper=b"p" * 32,
            keys=(rig.grant,),
            assignments=(assignment,),
            policies=tuple(Policy(name=f"p{at}", spec=each) for at, each in enumerate(policies)),
        ),
        {},
    )


def recorded(rig, kit):
    _, _, engine = rig.ask()
    (under_way,) = rig.records()
    engine.protocol.data_received(kit.answer())
    (record,) = rig.records()
    assert under_way.record.tag == record.record.tag
    rig.book()
    return record.record


def test_the_record_has_the_tag_of_the_key(make, kit):
    record = recorded(make(1, tag="batch"), kit)
    assert (record.tag, record.project, record.model) == ("batch", "p", "m")


def test_the_record_has_the_tag_of_a_policy_where_the_key_has_none(rig, kit):
    assert recorded(rig, kit).tag == ""
    declare(rig, PolicySpec(match=Match(models=("m",)), tag="chat"))
    assert recorded(rig, kit).tag == "chat"
    declare(rig)
    assert recorded(rig, kit).tag == ""


def test_no_caller_writes_a_tag(rig):
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"tag":"chat"}'
    _, transport, _ = rig.ask(rig.post(body, extra="x-littoral-tag: chat\r\n"))
    (record,) = rig.records()
    assert record.record.tag == ""
    assert transport.data == b""


def test_a_policy_holds_for_the_tag_that_another_one_gives(rig):
    declare(
        rig,
        PolicySpec(match=Match(models=("m",)), tag="chat"),
        PolicySpec(match=Match(tags=("chat",)), total_s=Seconds(2.0)),
    )
    wanted = rig.worker.source.tables.keys[rig.grant.id].wanted("m")
    assert (wanted.name, wanted.total_s) == ("p1", 2.0)


@pytest.mark.parametrize(("tag", "kind"), [("batch", "#batch\nm"), ("", "{key}\nm")])
def test_the_expected_length_is_that_of_the_tag_else_of_the_key(make, kit, tag, kind):
    rig = make(1, tag=tag)
    rig.worker.source.take_folds((), {kind.format(key=rig.grant.id): (1000, 0.0)})
    _, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    line = next(
        each for each in transport.data.split(b"\r\n") if each.startswith(b"x-littoral-pred")
    )
    (record,) = rig.records()
    predicted_us = record.record.predicted_us
    assert int(line.split()[1]) == predicted_us // 1000
    rig.worker.source.take_folds((), {})
    rig.book()
    rig.ask()
    (other,) = rig.records()
    assert predicted_us > 3 * other.record.predicted_us

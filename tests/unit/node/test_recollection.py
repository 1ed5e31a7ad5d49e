"""What a node learned outlives it; what others learned comes with the snapshot."""

from dataclasses import replace

import anyio
import pytest

from littoral.cost.inherit import inherited, learned_of, pooled
from littoral.cost.predictor import Outcome, fresh, observe
from littoral.domain.deployment import Assignment
from littoral.domain.endpoint import Endpoint
from littoral.domain.enrolment import Inventory
from littoral.domain.ids import DeploymentName, Digest, EndpointId, NodeId
from littoral.domain.ports import ChannelClosed
from littoral.domain.prior import Coefficients
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros
from littoral.node.learning import Learning
from littoral.node.recollection import AGAIN, KEPT, TELL, Recollection
from littoral.node.strain import Strains, unstrained
from littoral.testing.clock import SettableClock
from littoral.testing.disk import MemoryDisk
from littoral.testing.loop import simulate
from unit.node.conftest import artefact
from unit.node.test_learning import RECORD, flights, folds

CHAT = EndpointId("chat@1")
FAST = (0.01, 0.0001, 0.001, 0.0003)


def serve(around, *, weights="a", name="chat@1", build="1", priors=None, options=None) -> None:
    """Let the board know one engine, its snapshot, and its machine."""
    wanted = Assignment(
        name=DeploymentName("chat"),
        revision=1,
        serves="chat",
        engine="llama_cpp",
        model="chat",
        artefact=replace(artefact(1000), digest=Digest("sha256:" + weights * 64)),
        options=options or {},
    )
    around.board.inventory = Inventory(cpu="a processor", build=build)
    around.board.put_endpoint(
        Endpoint(
            id=EndpointId(name),
            deployment=DeploymentName("chat"),
            serves="chat",
            engine="fake",
            state="ready",
            slots=4,
        )
    )
    around.board.put_snapshot(
        Snapshot(
            epoch=1,
            version=1,
            issued_us=Micros(0),
            node=NodeId("nd_1"),
            pepper=b"",
            keys=(),
            assignments=(wanted,),
            priors=priors or {},
        )
    )


def taught(name=CHAT):
    predictor = fresh(name)
    for number in range(80):
        tokens = 10 + number
        outcome = Outcome(
            tokens_in=tokens,
            tokens_out=tokens,
            active=0,
            slots=4,
            first_s=None,
            total_s=FAST[0] + FAST[1] * tokens + FAST[2] * (tokens - 1),
            predicted_p90_s=1.0,
        )
        predictor = observe(predictor, outcome)
    return predictor


class Sent:
    """Control: takes frames, or is not there."""

    def __init__(self):
        self.frames, self.here = [], True

    async def post(self, frame):
        if not self.here:
            raise ChannelClosed("away")
        self.frames.append(frame)


def recalls(around, disk=None, post=None) -> Recollection:
    return Recollection(around.board, disk or MemoryDisk(), post=post or Sent().post)


def test_an_unknown_engine_has_no_past(around) -> None:
    assert recalls(around).begun(CHAT) is None
    serve(around)
    assert recalls(around).begun(CHAT) is None


def remembered(around) -> MemoryDisk:
    """A disk on which a taught predictor of the engine that is served was written down."""
    disk = MemoryDisk()
    memory = recalls(around, disk)
    memory.note([taught()])
    memory.save()
    return disk


def test_what_was_learned_outlives_the_node(around) -> None:
    serve(around)
    disk = remembered(around)
    found = recalls(around, disk).begun(CHAT)
    assert found is not None
    assert (found.state, found.recursion) == ("ok", taught().recursion)


def test_another_revision_of_the_same_weights_goes_on(around) -> None:
    serve(around)
    disk = remembered(around)
    serve(around, name="chat@7")
    found = recalls(around, disk).begun(EndpointId("chat@7"))
    assert found is not None
    assert (found.endpoint, found.state) == ("chat@7", "ok")


@pytest.mark.parametrize("other", [{"weights": "b"}, {"build": "2"}])
def test_other_weights_of_the_same_shape_and_another_build_begin_on_probation(
    around, other
) -> None:
    serve(around)
    disk = remembered(around)
    serve(around, **other)
    found = recalls(around, disk).begun(CHAT)
    assert found is not None
    assert found.state == "suspect"
    assert found.recursion.theta == pytest.approx(taught().recursion.theta)


def test_other_threads_are_another_engine(around) -> None:
    serve(around)
    disk = remembered(around)
    serve(around, options={"threads": 7})
    assert recalls(around, disk).begun(CHAT) is None


def kind(around) -> str:
    memory = recalls(around)
    memory.note([taught()])
    (learned,) = memory.frame().learned
    return learned.kind


def test_a_snapshot_brings_what_others_learned(around) -> None:
    serve(around)
    name = kind(around)
    prior = pooled([learned_of(taught(), kind=name)], version=4)
    serve(around, priors={name: prior})
    assert recalls(around).begun(CHAT) == inherited(CHAT, prior)
    akin = name.replace("a" * 64, "c" * 64)
    serve(
        around, priors={akin: replace(prior, nodes=1), akin + "x": replace(prior, nodes=3, q50=0.1)}
    )
    assert recalls(around).begun(CHAT) == inherited(CHAT, replace(prior, q50=0.1))


def test_a_prior_that_cannot_be_is_not_used(around) -> None:
    serve(around)
    name = kind(around)
    prior = pooled([learned_of(taught(), kind=name)], version=4)
    serve(around, priors={name: replace(prior, theta=(float("nan"),) * 4)})
    assert recalls(around).begun(CHAT) is None


def test_a_file_that_cannot_be_read_is_as_none(around) -> None:
    serve(around)
    disk = MemoryDisk()
    disk.write(KEPT, b"{no")
    assert recalls(around, disk).begun(CHAT) is None


def test_an_engine_elsewhere_is_remembered_here_and_not_told_as_a_kind(around) -> None:
    serve(around)
    far = replace(around.board.shown[0], id=EndpointId("far@1"), remote=True)
    around.board.put_endpoint(far)
    disk = MemoryDisk()
    memory = recalls(around, disk)
    memory.note([taught(far.id)])
    assert [each.kind for each in memory.frame().learned] == [""]
    memory.save()
    found = recalls(around, disk).begun(far.id)
    assert found is not None
    assert found.state == "ok"


def test_control_is_told_what_changed_and_again_after_a_while(around) -> None:
    serve(around)
    control = Sent()
    memory = recalls(around, post=control.post)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(memory.run)
            await anyio.sleep(TELL * 1.5)
            assert control.frames == []
            memory.note([taught()])
            control.here = False
            await anyio.sleep(TELL)
            control.here = True
            await anyio.sleep(TELL * 2)
            assert len(control.frames) == 1
            await anyio.sleep(TELL * AGAIN)
            assert len(control.frames) == 2
            group.cancel_scope.cancel()

    simulate(main)
    (learned,) = control.frames[0].learned
    assert isinstance(control.frames[0], Coefficients)
    assert (learned.endpoint, learned.state, learned.outcomes) == (CHAT, "ok", 80)
    assert learned.kind.startswith("fake | a processor | ")


def test_it_is_written_down_every_few_minutes(around) -> None:
    serve(around)
    disk = MemoryDisk()
    memory = recalls(around, disk)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(memory.run)
            memory.note([taught()])
            await anyio.sleep(TELL * 5.5)
            group.cancel_scope.cancel()

    simulate(main)
    assert disk.read(KEPT) is not None


def test_an_engine_is_folded_with_its_past_before_its_first_request(around) -> None:
    serve(around)
    memory = recalls(around, remembered(around))
    learning = Learning(
        around.board,
        open_now=list,
        strains=Strains(SettableClock(), unstrained),
        memory=memory,
    )

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(learning.watch)
            group.start_soon(learning.run)
            await anyio.sleep(1.0)
            (fold,) = folds(around).folds
            assert (fold.state, fold.version) == ("ok", 1)
            assert fold.t_step < 0.01
            learning.take(flights(RECORD))
            await anyio.sleep(1.0)
            group.cancel_scope.cancel()

    simulate(main)
    (learned,) = memory.frame().learned
    assert learned.outcomes == 81


def test_an_engine_that_is_there_before_the_machine_is_known_is_met_again(around) -> None:
    serve(around)
    memory = recalls(around, remembered(around))
    inventory, around.board.inventory = around.board.inventory, None
    strains = Strains(SettableClock(), unstrained)
    learning = Learning(around.board, open_now=list, strains=strains, memory=memory)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(learning.watch)
            await anyio.sleep(1.2)
            assert folds(around).folds == ()
            around.board.inventory = inventory
            await anyio.sleep(1.2)
            group.cancel_scope.cancel()

    simulate(main)
    assert [fold.state for fold in folds(around).folds] == ["ok"]

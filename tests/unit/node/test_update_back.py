"""A machine goes back to the version of Littoral before, as people there ask, without control."""

import anyio
import pytest

from littoral.domain.errors import Damaged, LittoralError, StorageFull
from littoral.testing.loop import simulate
from unit.node.test_update import Machine, order


@pytest.fixture
def machine() -> Machine:
    return Machine()


def go_back(machine: Machine) -> str | LittoralError:
    """Ask the machine to go back, and let it; what it answers."""

    async def main() -> str | LittoralError:
        updates = machine.process()
        async with anyio.create_task_group() as group:
            group.start_soon(updates.run, machine.send, machine.standing)
            await anyio.sleep(2)
            try:
                version = await updates.back()
            except LittoralError as error:
                version = error
            assert machine.left == left
            await anyio.sleep(2)
            group.cancel_scope.cancel()
        return version

    left = machine.left
    return simulate(main)


def updated(machine: Machine) -> None:
    machine.live(3, order())
    machine.installer.start()
    machine.live(3)


def test_without_control_a_machine_goes_back_to_the_version_before_and_forward_again(machine):
    updated(machine)
    machine.connected = False
    assert go_back(machine) == "0.1.0"
    assert machine.left == 2
    machine.installer.start()
    machine.live(90)
    assert (machine.installer.running, machine.installer.trial()) == ("0.1.0", None)
    assert "update_undone" in machine.codes
    machine.connected = True
    machine.live(3, order())
    assert machine.reports[-1].phase == "rolled_back"
    assert "someone at this machine" in machine.reports[-1].why
    assert machine.left == 2  # the order that was left is not obeyed again
    assert go_back(machine) == "0.2.0"


def test_a_version_on_trial_is_left_for_the_one_that_it_came_from(machine):
    machine.live(3, order())
    machine.installer.start()
    machine.serving = False
    assert go_back(machine) == "0.1.0"
    machine.installer.start()
    assert machine.installer.running == "0.1.0"


def test_where_going_back_failed_the_version_that_was_left_is_healthy_again(machine):
    updated(machine)
    go_back(machine)
    machine.installer.start()
    machine.installer.fail("it was started 3 times and ended")
    machine.live(3, order())
    assert (machine.installer.running, machine.reports[-1].phase) == ("0.2.0", "healthy")
    assert "update_rolled_back" in machine.codes


def test_where_there_is_no_version_before_or_it_cannot_read_the_data_nothing_changes(machine):
    assert "beside 0.1.0" in str(go_back(machine))
    updated(machine)
    machine.installer.broken["0.1.0"] = broken = Damaged("it cannot read the snapshot")
    assert go_back(machine) is broken
    assert machine.left == 1
    assert machine.installer.trial() is None


def test_a_disk_that_refuses_the_switch_leaves_everything_as_it_was(machine):
    updated(machine)

    def full(version: str, *, within_s: float) -> None:
        raise StorageFull(f"no room to switch to {version} within {within_s:.0f} s")

    machine.installer.switch = full  # type: ignore[method-assign]
    assert isinstance(go_back(machine), StorageFull)
    assert (machine.left, machine.reports[-1].phase) == (1, "healthy")

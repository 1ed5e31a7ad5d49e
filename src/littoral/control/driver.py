"""Drivers' opinion: options of a deployment, checked by the engine that would run it."""

from collections.abc import Callable
from dataclasses import replace

from littoral.control.apply import Check
from littoral.control.check import Specs, Statuses
from littoral.control.compiler import assignment_of
from littoral.domain.endpoint import EngineSpec, Machine
from littoral.domain.errors import InvalidInput
from littoral.domain.ports import Registry
from littoral.domain.resource import Resource
from littoral.domain.units import Bytes

_NOMINAL = Machine(cores=1, memory=Bytes(1 << 30), memory_free=Bytes(1 << 30))


def driver_check(registry: Registry, statuses: Callable[[], Statuses]) -> Check:
    """Make a check that asks the driver of a deployment's engine about its options.

    Only what it says of options counts here: whether the engine is installed and the weights are
    present is the node's affair, and shows there as the endpoint's reason.
    """

    def check(resource: Resource, specs: Specs) -> None:
        assignment = assignment_of(resource.metadata.name, specs, statuses())
        if assignment is None or not assignment.options:
            return
        bare = replace(assignment, slots=None, context=None)
        spec = EngineSpec(assignment=bare, artefact_path=None, machine=_NOMINAL, threads=1)
        try:
            registry.engine(assignment.engine).check(spec)
        except InvalidInput as error:
            if (error.param or "").startswith("spec.options"):
                raise

    return check

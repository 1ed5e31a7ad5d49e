"""Recorded: the records of late, prices, policies and tags, as placement's commands read them."""

from collections.abc import Mapping

from littoral.client.admin import Admin
from littoral.domain.deployment import DeploymentSpec
from littoral.domain.errors import Denied, InvalidInput
from littoral.domain.policy import Policy, PolicySpec
from littoral.placement.history import Priced

MOST = 20_000
SLOTS = 4
"""Where a deployment does not say how many requests it serves at once."""


def bounded(limit: int) -> int:
    """Check how many records are asked for.

    Raises:
        InvalidInput: Too few or too many.
    """
    if not 1 <= limit <= MOST:
        raise InvalidInput(f"--limit: {limit} is not within 1 to {MOST}")
    return limit


def prices(control: Admin) -> Mapping[str, Priced]:
    """What each deployment takes and how many requests it serves at once."""
    return {
        each.metadata.name: Priced(
            serves=each.metadata.name if spec.serves is None else spec.serves,
            price_in=spec.price_in,
            price_out=spec.price_out,
            slots=spec.slots or SLOTS,
        )
        for each in control.resources("Deployment")
        if isinstance(spec := each.spec, DeploymentSpec)
    }


def tags(control: Admin) -> Mapping[str, str]:
    """The tag of each key; nothing where the caller may not see keys, as records have tags too."""
    try:
        known = control.keys()
    except Denied:
        return {}
    return {each.id: each.tag for each in known}


def policies(control: Admin) -> list[Policy]:
    """The policies that hold now."""
    return [
        Policy(name=each.metadata.name, spec=spec)
        for each in control.resources("Policy")
        if isinstance(spec := each.spec, PolicySpec)
    ]

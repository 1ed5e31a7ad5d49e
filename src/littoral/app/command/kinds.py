"""Kinds of resources as people type them."""

from littoral.domain.errors import InvalidInput
from littoral.domain.resource import SPECS, Kind


def kind_of(text: str) -> Kind:
    """Read ``deployment``, ``deployments`` or ``Deployment``.

    Raises:
        InvalidInput: No such kind; the message lists them.
    """
    for kind in SPECS:
        if text.lower() in {kind.lower(), f"{kind.lower()}s"}:
            return kind
    known = ", ".join(kind.lower() for kind in SPECS)
    raise InvalidInput(f"there is no kind {text!r}; known: {known}")

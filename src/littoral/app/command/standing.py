"""How the node on this machine stands with control, as it wrote down."""

import json
from typing import cast

from littoral.app.settings import Settings
from littoral.domain.enrolment import STANDING, Standing
from littoral.domain.units import Micros


def standing(settings: Settings) -> Standing | None:
    """What the node wrote last; None where it wrote nothing yet."""
    try:
        told = cast("dict[str, object]", json.loads(settings.path(STANDING).read_text("utf-8")))
        return Standing(
            connected=bool(told["connected"]),
            trouble=tuple(cast("list[str]", told["trouble"])),
            since_us=Micros(cast("int", told["since_us"])),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None

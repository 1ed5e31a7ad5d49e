"""Ways: endpoints of other nodes as they are from here, worked out anew only where they changed."""

from dataclasses import replace

from littoral.domain.endpoint import Endpoint
from littoral.domain.ids import EndpointId
from littoral.domain.units import Seconds


class Ways:
    """What was worked out last of each endpoint, with what it was worked out from."""

    def __init__(self) -> None:
        self._known: dict[EndpointId, tuple[Endpoint, Endpoint]] = {}
        self._from: tuple[str, float] = "", 0.0

    def through(
        self, remotes: dict[EndpointId, Endpoint], *, cut: str, trip_s: Seconds
    ) -> dict[EndpointId, Endpoint]:
        """The endpoints of other nodes as they are from here now, through control.

        Args:
            remotes: As control tells of them.
            cut: Why nothing goes through control; empty where it does.
            trip_s: The round trip to control, seconds.
        """
        before = self._known if self._from == (cut, trip_s) else {}
        self._from, self._known = (cut, trip_s), {}
        for name, endpoint in remotes.items():
            known = before.get(name)
            if known is None or known[0] != endpoint:
                known = endpoint, _reached(endpoint, cut, trip_s)
            self._known[name] = known
        return {name: here for name, (_, here) in self._known.items()}


def _reached(endpoint: Endpoint, cut: str, trip_s: Seconds) -> Endpoint:
    via = endpoint.via
    if via is None:
        return endpoint
    if cut:
        return replace(endpoint, state="failed", reason=cut)
    return replace(endpoint, via=replace(via, rtt_s=Seconds(via.rtt_s + trip_s)))

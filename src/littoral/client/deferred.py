"""Deferred: the requests that wait at a node, asked of its data plane."""

from urllib.parse import quote

from littoral.client.caller import Caller
from littoral.domain.deferral import DeferralPage, DeferralView


class Deferred(Caller):
    """What a key's project has deferred at one node."""

    below = "/v1"

    def page(self, *, before: int | None = None, limit: int = 100) -> DeferralPage:
        """Some of them, the last one first, beginning below ``before``."""
        return self.call("GET", "/deferred", DeferralPage, query={"limit": limit, "before": before})

    def show(self, name: str) -> DeferralView:
        """One of them."""
        return self.call("GET", _path(name), DeferralView)

    def cancel(self, name: str) -> DeferralView:
        """Cancel one that has not ended; one that has stays as it is."""
        return self.call("POST", f"{_path(name)}/cancel", DeferralView)

    def result(self, name: str) -> bytes:
        """The answer of one that is completed."""
        return self.ask("GET", f"{_path(name)}/result")


def _path(name: str) -> str:
    return f"/deferred/{quote(name, safe='')}"

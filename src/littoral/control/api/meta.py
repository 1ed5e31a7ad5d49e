"""What answers without a key: that control is there, and what its API looks like."""

from collections.abc import Callable, Mapping, Sequence

from littoral.control.route import Call, Public, Route


class MetaApi:
    """Handlers without a key.

    Args:
        document: Makes the OpenAPI document of all routes.
    """

    def __init__(self, document: Callable[[], Mapping[str, object]]) -> None:
        self._document = document

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="GET",
                path="/api/v1/health",
                handler=self.health,
                policy=Public("says only that control answers"),
                summary="Whether control answers.",
                gives=dict[str, bool],
            ),
            Route(
                method="GET",
                path="/api/v1/openapi.json",
                handler=self.openapi,
                policy=Public("the shape of the API is in its documentation too"),
                summary="This document.",
                gives=dict[str, object],
            ),
        )

    async def health(self, call: Call) -> Mapping[str, bool]:
        """It answers."""
        del call
        return {"ok": True}

    async def openapi(self, call: Call) -> Mapping[str, object]:
        """The OpenAPI document."""
        del call
        return self._document()

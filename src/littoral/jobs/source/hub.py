"""``hf:`` and ``modelscope:`` files of model hubs, by the URLs that both serve them under."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import final
from urllib.parse import quote

from littoral.domain.errors import InvalidInput
from littoral.domain.model import FileSpec
from littoral.jobs.source.https import HttpsSource

NAMED = re.compile(
    r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?#(?P<file>[\w. +-]+(?:/[\w. +-]+)*)"
)
FORM = "<org>/<repo>[@revision]#<file>"


@final
class HubSource:
    """Fetches ``<scheme>:<org>/<repo>[@revision]#<file>`` from ``<endpoint>/.../resolve/...``.

    Args:
        https: Fetches the URL.
        endpoint: The hub's base URL, or a mirror's; with ``/models`` for ModelScope.
        revision: Taken where the source names none (``"main"``, ``"master"``).
        token_file: File whose first line is the bearer token, for gated files.
    """

    def __init__(
        self, https: HttpsSource, *, endpoint: str, revision: str, token_file: str = ""
    ) -> None:
        self._https = https
        self._endpoint = endpoint.rstrip("/")
        self._revision = revision
        self._token_file = token_file

    @asynccontextmanager
    async def fetch(
        self, file: FileSpec, *, scratch: str, progress: Callable[[int, int | None], None]
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Fetch the file, then open it as a stream of pieces.

        Raises:
            InvalidInput: The source is malformed, or the token cannot be read.
            UpstreamFailed: It cannot be reached, or gave something else than was pinned.
        """
        async with self._https.fetch_url(
            self.url(file.source),
            file,
            scratch=scratch,
            progress=progress,
            token=self._token(),
        ) as pieces:
            yield pieces

    def url(self, source: str) -> str:
        """Where a source's file is.

        Raises:
            InvalidInput: The source is malformed.
        """
        scheme, _, rest = source.partition(":")
        named = NAMED.fullmatch(rest)
        if named is None or ".." in rest:
            raise InvalidInput(f"{source!r} must be {scheme}:{FORM}", param="spec.source")
        revision = named["revision"] or self._revision
        file = quote(named["file"])
        return f"{self._endpoint}/{named['repo']}/resolve/{quote(revision, safe='')}/{file}"

    def _token(self) -> str | None:
        if not self._token_file:
            return None
        try:
            lines = Path(self._token_file).read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"the token file {self._token_file!r} cannot be read") from error
        return lines[0] if lines else None

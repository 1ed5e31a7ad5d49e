"""Tls: the certificate that the public listener shows, read anew while it serves."""

import ssl
from pathlib import Path
from typing import Final, Literal, TypeAlias

HANDSHAKE_S: Final = 10.0
Stamp: TypeAlias = tuple[tuple[int, int, int], ...]


class Certificate:
    """A server context whose certificate is replaced when its files change.

    Connections under way keep what they began with; each new handshake sees the newest pair.

    Args:
        certificate: PEM file of the certificate, its chain behind it.
        key: PEM file of its private key.
        least: Least version of TLS.

    Raises:
        OSError: A file cannot be read, or they are no pair (``ssl.SSLError``).
    """

    def __init__(self, certificate: str, key: str, *, least: Literal["1.2", "1.3"]) -> None:
        self._files = (certificate, key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        old = least == "1.2"
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2 if old else ssl.TLSVersion.TLSv1_3
        self.context.set_alpn_protocols(["http/1.1"])
        self._stamp = self._look()
        self.context.load_cert_chain(certificate, key)

    def renew(self) -> str | None:
        """Take the files' present content, if it changed.

        Returns:
            None where nothing changed, the empty string where a new pair is served from now on,
            else why the new files cannot be served; the old pair stays, and the same files are not
            tried again.
        """
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return None
            self._stamp = stamp
            trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            trial.load_cert_chain(*self._files)
            self.context.load_cert_chain(*self._files)
        except OSError as error:
            return f"the new certificate is not served: {error.strerror or error}"
        return ""

    def _look(self) -> Stamp:
        states = [Path(file).stat() for file in self._files]
        return tuple((state.st_mtime_ns, state.st_size, state.st_ino) for state in states)

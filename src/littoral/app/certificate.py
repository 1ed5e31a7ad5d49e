"""Whom a client of ours trusts: one certificate, some authorities, or the system's."""

import ssl
from pathlib import Path

from littoral.domain.errors import InvalidInput

LAST_LINE = "-----END CERTIFICATE-----"


def trust_in(certificate: str) -> ssl.SSLContext | bool:
    """Trust the one certificate in a file, whatever name it carries, and no other.

    An instance on this host is called by its address, which need not stand in its certificate.

    Args:
        certificate: PEM file; the first certificate counts. Empty: the system's authorities.

    Raises:
        InvalidInput: The file cannot be read.
    """
    if not certificate:
        return True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        text = Path(certificate).read_text("ascii")
        context.load_verify_locations(cadata=text[: text.index(LAST_LINE) + len(LAST_LINE)] + "\n")
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"the certificate {certificate!r} cannot be read: {error}", param="tls_certificate"
        ) from error
    return context


def trust_of(authority: str) -> ssl.SSLContext:
    """Trust the authorities in a PEM file, and check the name.

    Raises:
        InvalidInput: The file cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=authority)
    except OSError as error:
        raise InvalidInput(f"--authority {authority!r} cannot be read: {error}") from error

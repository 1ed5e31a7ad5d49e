"""Dates of certificates in TLS: numbers of OpenSSL that Python's ``ssl`` has no names for."""

from typing import Final

NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME: chains are verified, dates are not."""
NOT_YET_VALID: Final = 9
"""X509_V_ERR_CERT_NOT_YET_VALID: by our clock, which may be behind, it has not begun."""

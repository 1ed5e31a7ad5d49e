"""Figures as people read them: sizes, durations, moments, numbers."""

from datetime import UTC, datetime

from littoral.domain.units import Micros

SIZES = ("B", "kB", "MB", "GB", "TB", "PB")


def size(count: float) -> str:
    """Bytes in powers of 1000, three figures at most: ``93.1 MB``."""
    value = float(count)
    for unit in SIZES:
        if abs(value) < 999.5 or unit == SIZES[-1]:
            break
        value /= 1000
    else:  # pragma: no cover  the last unit always breaks
        unit = SIZES[-1]
    digits = 0 if unit == "B" or abs(value) >= 100 else 1
    return f"{value:.{digits}f} {unit}"


def span(seconds: float) -> str:
    """A duration in at most two units: ``850 ms``, ``4.2 s``, ``3 min 05 s``, ``2 d 4 h``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def moment(at_us: Micros) -> str:
    """A UTC moment to the second: ``2026-11-22 03:48:18Z``."""
    at = datetime.fromtimestamp(at_us / 1e6, UTC)
    return at.strftime("%Y-%m-%d %H:%M:%SZ")


def count(value: int) -> str:
    """A whole number in groups of three: ``1,234,567``."""
    return f"{value:,}"


def money(value: float) -> str:
    """An amount in the platform's currency, to six places where it is small."""
    if value == 0:
        return "0"
    return f"{value:.2f}" if abs(value) >= 100 else f"{value:.6f}".rstrip("0").rstrip(".")

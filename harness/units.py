"""Numbers with units, as people write and read them. Inside, everything is seconds, bytes and ratios."""

from __future__ import annotations

import re

_FACTORS: dict[str, tuple[str, float]] = {
    "us": ("s", 1e-6),
    "µs": ("s", 1e-6),
    "ms": ("s", 1e-3),
    "s": ("s", 1.0),
    "m": ("s", 60.0),
    "min": ("s", 60.0),
    "h": ("s", 3600.0),
    "B": ("B", 1.0),
    "kB": ("B", 1e3),
    "MB": ("B", 1e6),
    "GB": ("B", 1e9),
    "KiB": ("B", 1024.0),
    "MiB": ("B", 1024.0**2),
    "GiB": ("B", 1024.0**3),
    "%": ("ratio", 0.01),
    "/s": ("1/s", 1.0),
    "x": ("ratio", 1.0),
    "": ("", 1.0),
}
_QUANTITY = re.compile(r"^\s*(?P<number>[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?)\s*(?P<unit>[A-Za-zµ%/]*)\s*$")


def parse_quantity(text: str) -> tuple[float, str]:
    """A number with its unit, in base units.

    :returns: value and base unit: ``s``, ``B``, ``ratio``, ``1/s`` or ``""`` for a bare number
    :raises ValueError: not a number with a known unit

    >>> parse_quantity("250ms")
    (0.25, 's')
    >>> parse_quantity("95%")
    (0.95, 'ratio')
    >>> parse_quantity("3")
    (3.0, '')
    """
    match = _QUANTITY.match(text)
    if match is None or match["unit"] not in _FACTORS:
        known = ", ".join(unit for unit in _FACTORS if unit)
        raise ValueError(f"{text!r} is not a number with a unit; known units: {known}")
    base, factor = _FACTORS[match["unit"]]
    # Dividing by the inverse keeps 1 % of a decimal number what it looks like: 95 / 100 is 0.95, 95 * 0.01 is not.
    value = float(match["number"])
    return (value * factor if factor >= 1 else value / round(1 / factor)), base


def parse_duration(text: str) -> float:
    """Seconds of a duration such as ``90s``, ``1.5m`` or ``250ms``; a bare number is seconds.

    >>> parse_duration("1.5m")
    90.0
    """
    value, unit = parse_quantity(text)
    if unit not in ("s", ""):
        raise ValueError(f"{text!r} is not a duration; write it like 30s or 2m")
    return value


def format_value(value: float | None, unit: str) -> str:
    """A value in base units as a person reads it; None, not measured, is a dash.

    >>> format_value(0.0123, "s"), format_value(0.953, "ratio"), format_value(None, "s")
    ('12.3 ms', '95.3 %', '—')
    >>> format_value(31_457_280, "B"), format_value(12.0, "1/s"), format_value(3.0, "")
    ('30.0 MiB', '12.0/s', '3')
    """
    if value is None:
        return "—"
    if unit == "s":
        return _format_seconds(value)
    if unit == "ratio":
        return f"{value * 100:.1f} %"
    if unit == "B":
        for suffix, size in (("GiB", 1024.0**3), ("MiB", 1024.0**2), ("KiB", 1024.0)):
            if abs(value) >= size:
                return f"{value / size:.1f} {suffix}"
        return f"{value:.0f} B"
    if unit == "B/s":
        return format_value(value, "B") + "/s"
    number = f"{value:,.0f}" if value == round(value) or abs(value) >= 1000 else f"{value:,.3g}"
    return f"{value:,.1f}/s" if unit == "1/s" else f"{number} {unit}".rstrip()


def _format_seconds(value: float) -> str:
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f} s"
    if size >= 1:
        return f"{value:.2f} s"
    if size >= 0.1:
        return f"{value * 1e3:.0f} ms"
    if size >= 1e-3:
        return f"{value * 1e3:.3g} ms"
    return f"{value * 1e6:.0f} µs" if size else "0 s"

"""Arrays as short JSON: a few significant digits, whole numbers without a point, not-a-number as null."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DIGITS = 4

Array = NDArray[np.float64]
Numbers = list[int | float | None]


def rounded(values: NDArray[Any], digits: int = DIGITS) -> Numbers:
    """The values rounded to ``digits`` significant digits; NaN, which is not measured, becomes None.

    >>> rounded(np.array([0.0123456, 12.0, np.nan, 0.0, 123456.0]))
    [0.01235, 12, None, 0, 123456]
    """
    array = np.asarray(values, dtype=np.float64)
    size = np.abs(array)
    with np.errstate(divide="ignore", invalid="ignore"):
        places = np.where(size > 0, digits - 1 - np.floor(np.log10(size)), 0.0)
        places = np.clip(np.nan_to_num(places), 0, 15)
        factor = 10.0**places
        short = np.round(array * factor) / factor
    whole = short == np.round(short)
    return [None if x != x else int(x) if w else x for x, w in zip(short.tolist(), whole.tolist(), strict=True)]


def deltas(values: NDArray[Any]) -> list[int]:
    """Ascending whole numbers as the first and the steps between them, which are shorter to write.

    >>> deltas(np.array([5, 7, 12]))
    [5, 2, 5]
    """
    return np.diff(values, prepend=0).astype(np.int64).tolist() if len(values) else []


def with_gaps(at_s: Array, value: Array, interval_s: float) -> tuple[Array, Array]:
    """The points with a NaN wherever a tick is missing, so that no line is drawn across.

    :param interval_s: the sampling interval that was asked for; probes that take longer than it set their own pace, so
        a step counts as missing only when it is also long for this series
    """
    if len(at_s) < 2:
        return at_s, value
    steps = np.diff(at_s)
    usual = max(interval_s, float(np.quantile(steps, 0.25)))
    after = np.flatnonzero(steps > 1.75 * usual)
    return np.insert(at_s, after + 1, at_s[after] + usual), np.insert(value, after + 1, np.nan)

"""Statistics of many values: exact, of the nearest rank, and refused where there are too few."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from harness.record.points import Floats


def percentile(values: NDArray[np.float64] | NDArray[np.int64], statistic: str) -> float | None:
    """The nearest-rank percentile that ``p99.9`` and the like name; None below :func:`least_count` values.

    >>> percentile(np.array([4, 1, 3, 2]), "p50")
    2.0
    """
    count = len(values)
    if count < least_count(statistic):
        return None
    rank = math.ceil(_share(statistic) * count)
    return float(np.partition(values, rank - 1)[rank - 1])


def least_count(statistic: str) -> int:
    """How many values a percentile needs: with fewer than 1/(1 - p) it would only be the maximum.

    >>> least_count("p50"), least_count("p99"), least_count("p99.9"), least_count("mean")
    (2, 100, 1000, 1)
    """
    return math.ceil(1 / (1 - _share(statistic))) if _is_percentile(statistic) else 1


def _is_percentile(statistic: str) -> bool:
    return statistic[0] == "p"


def _share(statistic: str) -> Fraction:
    # Exact: 0.07 * 100 is 7.000000000000001 in floating point, and would be rank 8.
    return Fraction(statistic[1:]) / 100 if _is_percentile(statistic) else Fraction(0)


def summary(values: Floats, statistic: str) -> float | None:
    """One number of many; None where there are too few."""
    if not len(values):
        return None
    match statistic:
        case "min":
            return float(values.min())
        case "max":
            return float(values.max())
        case "mean":
            return float(values.mean())
        case "last":
            return float(values[-1])
    return percentile(values, statistic)

"""Stretches of samples: how much of a time they cover, and how long something held without a gap.

Two samples further apart than ``gap_s`` have a gap between them. Times are seconds, ascending.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from harness.record.points import Floats
from harness.record.reader import Points


def covered(at_s: Floats, begin_s: float, end_s: float, gap_s: float) -> float:
    """The share of a window that lies between samples with no gap between them, or between one and the window's border.

    >>> covered(np.array([0.0, 1.0, 2.0, 8.0, 9.0]), 0.0, 10.0, 2.5)
    0.4
    """
    if end_s <= begin_s or not len(at_s):
        return 0.0
    steps = np.diff(np.concatenate(([begin_s], np.clip(at_s, begin_s, end_s), [end_s])))
    return float(steps[steps <= gap_s].sum() / (end_s - begin_s))


def stretches(begins_s: Floats, ends_s: Floats, good: NDArray[np.bool_], gap_s: float) -> list[tuple[float, float]]:
    """Begin and end of each run of neighbouring samples that are all good and have no gap between them.

    :param begins_s: when the time that each sample stands for begins
    :param ends_s: when it ends, and the sample's own time

    >>> stretches(*[np.array([0.0, 1.0, 2.0, 3.0])] * 2, np.array([True, True, False, True]), 2.5)
    [(0.0, 1.0), (3.0, 3.0)]
    """
    return [(float(begins_s[first]), float(ends_s[last])) for first, last in _runs(ends_s, good, gap_s)]


def longest_gap_free(begins_s: Floats, ends_s: Floats, gap_s: float) -> float:
    """Length of the longest stretch without a gap, in seconds."""
    every = stretches(begins_s, ends_s, np.ones(len(ends_s), dtype=bool), gap_s)
    return max((end - begin for begin, end in every), default=0.0)


def sustained(begins_s: Floats, got: Points, for_s: float, gap_s: float, *, upward: bool) -> float | None:
    """The best level that was held for a time: the largest value that samples were at or above all through it.

    :param upward: False for the smallest value that they were at or below
    :returns: None where no stretch without a gap is that long

    >>> at_s = np.arange(6.0)
    >>> sustained(at_s, Points(at_s=at_s, value=np.array([1.0, 7.0, 6.0, 8.0, 2.0, 9.0])), 2.0, 2.5, upward=True)
    6.0
    """
    values = got.value if upward else -got.value
    best: float | None = None
    for first, last in _runs(got.at_s, np.ones(len(values), dtype=bool), gap_s):
        ends = np.searchsorted(got.at_s[: last + 1], begins_s[first : last + 1] + for_s, side="left")
        for begin, end in zip(range(first, last + 1), ends, strict=True):
            if end > last:
                break
            level = float(values[begin : end + 1].min())
            best = level if best is None else max(best, level)
    return best if best is None or upward else -best


def _runs(at_s: Floats, good: NDArray[np.bool_], gap_s: float) -> Iterator[tuple[int, int]]:
    """First and last index of each run of good samples without a gap."""
    first: int | None = None
    for index in range(len(at_s)):
        if first is not None and (not good[index] or at_s[index] - at_s[index - 1] > gap_s):
            yield first, index - 1
            first = None
        if good[index] and first is None:
            first = index
    if first is not None:
        yield first, len(at_s) - 1

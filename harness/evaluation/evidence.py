"""What a comparison is, and what it leaves as evidence."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.model import Comparator, Criterion, Finding
from harness.record.points import Floats
from harness.series import unit_of

_COMPARE: dict[Comparator, Callable[[float, float], bool]] = {
    Comparator.LT: operator.lt,
    Comparator.LE: operator.le,
    Comparator.GT: operator.gt,
    Comparator.GE: operator.ge,
    Comparator.EQ: operator.eq,
    Comparator.NE: operator.ne,
}
UPWARD = (Comparator.GT, Comparator.GE)
DOWNWARD = (Comparator.LT, Comparator.LE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What stands beside the value; fields as of :class:`Finding`."""

    first_s: float | None = None
    worst: float | None = None
    count: int | None = None


def holds(criterion: Criterion, value: float) -> bool:
    """Whether the comparison is true of a value."""
    return bool(_COMPARE[criterion.comparator](value, criterion.limit))


def each_holds(criterion: Criterion, values: Floats) -> NDArray[np.bool_]:
    """Of which values the comparison is true."""
    return np.asarray(_COMPARE[criterion.comparator](values, criterion.limit))  # type: ignore[arg-type]


def worst(criterion: Criterion, values: Floats) -> float | None:
    """The single value that a person would look at first; see :func:`harness.evaluation.evaluate`."""
    if not len(values):
        return None
    if criterion.statistic == "min" or (criterion.for_s is not None and criterion.comparator in DOWNWARD):
        return float(values.min())
    return float(values.max())


def finding(
    criterion: Criterion,
    name: str,
    evidence: Evidence | None = None,
    *,
    value: float | None = None,
    held: bool | None = None,
    why_unknown: str | None = None,
) -> Finding:
    """The finding; ``held`` follows from the value unless it is given, and a reason why it is unknown goes before both."""
    if held is None and value is not None:
        held = holds(criterion, value)
    evidence = evidence or Evidence()
    return Finding(
        name=name,
        criterion=criterion.text,
        held=None if why_unknown is not None else held,
        value=value,
        unit=unit_of(criterion.series),
        first_s=evidence.first_s,
        worst=evidence.worst,
        count=evidence.count,
        why_unknown=why_unknown,
    )

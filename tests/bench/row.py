"""One line of the bench's table: a value, what it must reach, and what it was computed from."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from tests.bench.rounds import Round


class NotMeasured(Exception):
    """A measurement failed: the message says which and why. The bench then ends with exit code 1."""


class State(StrEnum):
    """What a row says."""

    REACHED = "reached"
    NOT_REACHED = "not reached"
    REPORTED = "reported"  # nothing is promised of it
    NOT_MEASURED = "not measured"  # as this machine or these options do not allow it
    FAILED = "failed"


_COMPARE = {">=": operator.ge, "<=": operator.le, "==": operator.eq}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What a value must reach.

    :param comparator: ``>=``, ``<=`` or ``==``
    """

    comparator: str
    value: float

    def reached(self, value: float) -> bool:
        """Whether it does."""
        return bool(_COMPARE[self.comparator](value, self.value))

    def __str__(self) -> str:
        return f"{self.comparator} {self.value:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table.

    :param value: the median, where there are several; None is not measured
    :param each: the values that it is the median of, in the order they were measured
    :param unit: ``""`` for a ratio or a number, ``s``, ``B`` or ``MB``
    :param note: for people; why it was not measured, where it was not
    :param detail: for programs, JSON values: what it was computed from
    """

    figure: str
    what: str
    value: float | None
    state: State
    each: tuple[float, ...] = ()
    limit: Limit | None = None
    unit: str = ""
    note: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For the file."""
        span = [min(self.each), max(self.each)] if self.each else None
        limit = None if self.limit is None else str(self.limit)
        return {**asdict(self), "limit": limit, "min_max": span}


def shown(value: float) -> str:
    """A number of four digits, without an exponent.

    >>> shown(41274.8), shown(0.99961), shown(3)
    ('41,275', '0.9996', '3')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def of_values(
    figure: str,
    what: str,
    values: Sequence[float],
    *,
    limit: Limit | None = None,
    unit: str = "",
    note: str = "",
    detail: Mapping[str, Any] | None = None,
) -> Row:
    """The median of values that were measured, held against its limit."""
    if not values:
        raise NotMeasured(f"{what}: no value")
    value = float(np.median(values))
    state = State.REPORTED if limit is None else State.REACHED if limit.reached(value) else State.NOT_REACHED
    return Row(
        figure=figure,
        what=what,
        value=value,
        state=state,
        each=tuple(float(one) for one in values),
        limit=limit,
        unit=unit,
        note=note,
        detail=detail or {},
    )


def of_pairs(
    figure: str, what: str, rounds: Sequence[Round], ours: str, theirs: str, *, limit: Limit | None, unit: str
) -> Row:
    """The median of the rounds' ratios, each of two sides measured one right after the other.

    :param ours: the side above the line
    :param unit: of both sides, for the note
    """
    for one in rounds:
        if not one[theirs] > 0:
            raise NotMeasured(f"{what}: {theirs} measured {one[theirs]:g}, of which there is no ratio")
    ratios = [one[ours] / one[theirs] for one in rounds]
    above, below = (float(np.median([one[side] for one in rounds])) for side in (ours, theirs))
    note = f"{ours} {shown(above)}{unit}, {theirs} {shown(below)}{unit}"
    pairs = [{ours: one[ours], theirs: one[theirs]} for one in rounds]
    return of_values(figure, what, ratios, limit=limit, note=note, detail={"pairs": pairs, "unit": unit.strip()})


def not_measured(figure: str, what: str, why: str, *, limit: Limit | None = None, failed: bool = False) -> Row:
    """A row without a value."""
    state = State.FAILED if failed else State.NOT_MEASURED
    return Row(figure=figure, what=what, value=None, state=state, limit=limit, note=why)

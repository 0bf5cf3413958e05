"""What a chart is: a row of the report's timeline, the same for every variant, on the same scales."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.series import BY_NAME, Series


class Shown(StrEnum):
    """In which reports a chart stands."""

    ALWAYS = "always"
    POSTGRES = "postgres"
    MEASURED = "measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a chart.

    :param key: by which its data are known; where it is the name of a sampled series, they are that series'
    :param color: a role of the style sheet's palette, ``c1`` to ``c8`` or ``fg``, that light and dark resolve differently
    :param views: views of the chart that show it; empty means all
    """

    key: str
    label: str
    color: str
    dash: bool = False
    views: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """A series that has a line for each server.

    :param label: tells the servers apart in its samples
    """

    series: Series
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One row of charts.

    :param unit: base unit of its values, as in :mod:`harness.units`
    :param form: ``lines``, ``stacked`` or ``heat``
    :param by_operation: whether the operation selector changes it
    :param floor_top: the vertical axis reaches at least this high
    :param apart: series with a line for each server, before the others
    :param shown: where it stands: in every report, in those with a PostgreSQL, or in those that have something to show in it
    """

    id: str
    title: str
    note: str
    unit: str
    lines: tuple[Line, ...] = ()
    form: str = "lines"
    log: bool = False
    by_operation: bool = False
    floor_top: float = 0.0
    apart: tuple[Apart, ...] = ()
    shown: Shown = Shown.ALWAYS

    @property
    def series(self) -> tuple[str, ...]:
        """Names of the sampled series among its lines."""
        return tuple(line.key for line in self.lines if line.key in BY_NAME)

    @property
    def is_sampled(self) -> bool:
        """Whether sampled series are all that it draws."""
        return bool(self.apart or self.series)

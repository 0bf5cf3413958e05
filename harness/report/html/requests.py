"""Series from raw requests, per operation and for all of them (key ``""``).

DuckDB counts and ranks; what comes back is one row per second and group. A second of which nothing is known is NaN, a
second in which nothing happened is 0 for counts and NaN for times: there is no percentile of no requests.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.record import format as layout
from harness.record.reader import Run
from harness.report.html.axis import Axis, known_until_s
from harness.report.html.compact import Array

ALL = ""
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
#: Rows of the heat map per factor of ten, and its lowest edge: 10^-4 s.
ROWS_PER_DECADE = 10
LOWEST_DECADE = -4
#: Kinds of failure that get a colour of their own; what is rarer is summed up.
MOST_KINDS = 7
REST = "other kinds"

ByOperation = dict[str, dict[str, Array]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """A heat map's cells that are not empty, in ascending order of ``cell`` = step × rows + row."""

    cell: NDArray[np.int64]
    count: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The steps of the axis of which a run's folder knows something: the first ``steps``."""

    run: Run
    axis: Axis
    steps: int

    @classmethod
    def of(cls, run: Run, axis: Axis) -> Window:
        """The window of a run."""
        return cls(run=run, axis=axis, steps=min(axis.steps, math.ceil(known_until_s(run) / axis.step_s)))

    def step_of(self, column: str) -> str:
        """SQL that gives the step in which a column of nanoseconds lies."""
        return f"CAST({column} // {self.axis.step_s * 1_000_000_000} AS INTEGER)"

    def filled(self, fill: float) -> Array:
        """An array of all steps."""
        return np.full(self.steps, fill)

    def put(self, into: Array, step: NDArray[Any], value: NDArray[Any]) -> None:
        """Set the values of some steps; those outside the window are left out."""
        inside = (step >= 0) & (step < self.steps)
        into[step[inside]] = np.asarray(np.ma.filled(value, np.nan), float)[inside]


def operations(run: Run) -> list[str]:
    """The operations as declared, then those that only the requests know."""
    declared = [str(name) for name in run.meta.get("operations") or ()]
    seen = [row[0] for row in run.query("SELECT DISTINCT operation FROM requests ORDER BY 1")]
    return declared + [name for name in seen if name not in declared]


def rates(window: Window) -> ByOperation:
    """Per second: ``offered`` (scheduled), ``begun`` (retries included, only where there were any), ``ok``, ``failed``.

    ``ok`` and ``failed`` stand where the answer came, the others where the request was intended to begin.
    """
    result = _offered(window)
    per_s = window.axis.step_s
    for key, column, condition in (
        ("ok", "finished_ns", "outcome = 'ok'"),
        ("failed", "finished_ns", "outcome <> 'ok'"),
        ("begun", "intended_ns", "true"),
    ):
        if key == "begun" and not window.run.query("SELECT 1 FROM requests WHERE attempt > 1 LIMIT 1"):
            continue
        rows = _grouped(window, column, "count(*) AS n", f"WHERE {condition}")
        for operation, chosen in _split(rows):
            series = result[operation].setdefault(key, window.filled(0.0))
            window.put(series, rows["step"][chosen], rows["n"][chosen] / per_s)
    for lines in result.values():
        lines.setdefault("ok", window.filled(0.0))
        lines.setdefault("failed", window.filled(0.0))
    return (
        dict(result)
        if _any_requests(window.run)
        else {name: {"offered": v["offered"]} for name, v in result.items() if "offered" in v}
    )


def percentiles(window: Window) -> ByOperation:
    """Nearest-rank percentiles of response and service time of each step, at the intended start: ``response.p99``, …"""
    result: ByOperation = defaultdict(dict)
    columns = ", ".join(
        f"{part}[{index}] AS {part}_{name}"
        for part in ("response", "service")
        for index, name in enumerate(PERCENTILES, start=1)
    )
    ranks = list(PERCENTILES.values())
    rows = _grouped(
        window,
        "intended_ns",
        f"quantile_disc(finished_ns - intended_ns, {ranks}) AS response, quantile_disc(finished_ns - acquired_ns, {ranks}) AS service",
        outer=columns,
    )
    for operation, chosen in _split(rows):
        for part in ("response", "service"):
            for name in PERCENTILES:
                series = result[operation][f"{part}.{name}"] = window.filled(np.nan)
                nanoseconds = np.ma.filled(rows[f"{part}_{name}"][chosen].astype(float), np.nan)
                window.put(series, rows["step"][chosen], nanoseconds / 1e9)
    return dict(result)


def errors(window: Window, kinds: list[str]) -> ByOperation:
    """Failures per second of each of these kinds, and of all others as :data:`REST`, at the intended start."""
    result: ByOperation = defaultdict(dict)
    rows = _grouped(
        window,
        "intended_ns",
        "count(*) AS n",
        "WHERE outcome <> 'ok'",
        also="CASE WHEN list_contains($kinds, outcome) THEN outcome ELSE $rest END AS kind",
        parameters={"kinds": kinds, "rest": REST},
    )
    for operation, chosen in _split(rows):
        own = rows["kind"][chosen]
        for kind in np.unique(own.astype(str)):
            of_kind = own == kind
            series = result[operation][kind] = window.filled(0.0)
            window.put(series, rows["step"][chosen][of_kind], rows["n"][chosen][of_kind] / window.axis.step_s)
    return dict(result)


def kinds_of_failure(runs: list[Run]) -> list[str]:
    """The most frequent outcomes besides ok over all runs, most frequent first."""
    totals: dict[str, int] = defaultdict(int)
    for run in runs:
        for outcome, count in run.query("SELECT outcome, count(*) FROM requests WHERE outcome <> 'ok' GROUP BY 1"):
            totals[outcome] += count
    return sorted(totals, key=lambda outcome: (-totals[outcome], outcome))[:MOST_KINDS]


def heat(window: Window, rows_: int) -> dict[str, Heat]:
    """How many requests took how long in each step.

    :param rows_: rows of the map; what is below the lowest or above the highest is counted in it
    """
    bucket = (
        f"least({rows_ - 1}, greatest(0, CAST(floor((log10(greatest(finished_ns - intended_ns, 1) / 1e9)"
        f" - ({LOWEST_DECADE})) * {ROWS_PER_DECADE}) AS INTEGER))) AS bucket"
    )
    rows = _grouped(window, "intended_ns", "count(*) AS n", also=bucket)
    result = {}
    for operation, chosen in _split(rows):
        cell = rows["step"][chosen].astype(np.int64) * rows_ + rows["bucket"][chosen]
        order = np.argsort(cell)
        result[operation] = Heat(cell=cell[order], count=rows["n"][chosen].astype(np.int64)[order])
    return result


def heat_rows(runs: list[Run]) -> int:
    """Rows of the heat map that reach up to the longest response of any run."""
    longest = max(
        (run.query("SELECT max(finished_ns - intended_ns) / 1e9 FROM requests")[0][0] or 0.0 for run in runs),
        default=0.0,
    )
    return max(1, math.ceil(math.log10(max(longest, 1e-3)) - LOWEST_DECADE)) * ROWS_PER_DECADE


def _any_requests(run: Run) -> bool:
    return bool(run.query("SELECT 1 FROM requests LIMIT 1"))


def _offered(window: Window) -> ByOperation:
    result: ByOperation = defaultdict(dict)
    offered = window.run.json(layout.OFFERED) or {}
    own_step = float(offered.get("step_s") or 1.0)
    for operation, counts in (offered.get("operations") or {}).items():
        step = (np.arange(len(counts)) * own_step // window.axis.step_s).astype(int)
        inside = step < window.steps
        series = window.filled(0.0)
        np.add.at(series, step[inside], np.asarray(counts, float)[inside] / window.axis.step_s)
        result[str(operation)]["offered"] = series
        total = result[ALL].get("offered")
        result[ALL]["offered"] = series.copy() if total is None else total + series
    return result


def _grouped(
    window: Window,
    column: str,
    values: str,
    where: str = "",
    *,
    also: str | None = None,
    outer: str | None = None,
    parameters: dict[str, Any] | None = None,
) -> dict[str, NDArray[Any]]:
    """Values per step (and one more column), for each operation and for all."""
    extra, name = (f", {also}", f", {also.rsplit(' ', 1)[1]}") if also else ("", "")
    inner = (
        f"SELECT operation, {window.step_of(column)} AS step{extra}, * EXCLUDE (operation) FROM request_rows {where}"
    )
    sql = (
        f"SELECT coalesce(operation, '') AS operation, step{name}, {values} FROM ({inner})"
        f" GROUP BY GROUPING SETS ((operation, step{name}), (step{name}))"
    )
    if outer:
        sql = f"SELECT operation, step{name}, {outer} FROM ({sql})"
    return window.run.db.execute(sql, parameters or {}).fetchnumpy()


def _split(rows: dict[str, NDArray[Any]]) -> list[tuple[str, NDArray[np.bool_]]]:
    names = rows["operation"].astype(str)
    return [(str(name), names == name) for name in np.unique(names)]

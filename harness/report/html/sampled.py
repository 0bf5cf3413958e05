"""Series from what the probes sampled, cut to the axis, with a break wherever a tick is missing."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from harness.record.points import points, points_by
from harness.record.reader import Points, Run
from harness.report.html.axis import Axis
from harness.report.html.chart import Chart
from harness.report.html.charts import CHARTS
from harness.report.html.compact import Array, with_gaps

_STATES = """
WITH groups AS (
    SELECT at_s, value, labels ->> '$.state' AS state, labels ->> '$.wait_event_type' AS wait
    FROM samples WHERE metric = 'pg_stat_activity_count'),
named AS (
    SELECT at_s, value, CASE
        WHEN wait = 'Lock' THEN 'waiting'
        WHEN state = 'active' THEN 'active'
        WHEN state LIKE 'idle in transaction%' THEN 'in_transaction'
        WHEN state = 'idle' THEN 'idle'
        ELSE 'other' END AS name
    FROM groups),
instants AS (
    SELECT DISTINCT at_s FROM ticks
    WHERE probe IN (SELECT DISTINCT probe FROM samples WHERE metric = 'pg_stat_activity_count'))
SELECT instants.at_s,
    coalesce(sum(value) FILTER (name = 'waiting'), 0) AS waiting,
    coalesce(sum(value) FILTER (name = 'active'), 0) AS active,
    coalesce(sum(value) FILTER (name = 'in_transaction'), 0) AS in_transaction,
    coalesce(sum(value) FILTER (name = 'idle'), 0) AS idle,
    coalesce(sum(value) FILTER (name = 'other'), 0) AS other
FROM instants LEFT JOIN named USING (at_s) GROUP BY 1 ORDER BY 1
"""

_LIMIT = (
    "SELECT at_s, max(value) AS value FROM samples WHERE metric = 'pg_settings_max_connections' GROUP BY 1 ORDER BY 1"
)


def lines(run: Run, chart: Chart, axis: Axis) -> dict[str, Points]:
    """The lines of a chart by key; a series without a single point is left out."""
    found = {name: points(run, name) for name in chart.series}
    for each in chart.apart:
        found |= points_by(run, each.series, each.label)
    return _cut(run, found, axis)


def servers(run: Run) -> set[str]:
    """Every server of which something was measured."""
    return {
        server for chart in CHARTS for each in chart.apart for server in _values(run, each.series.metric, each.label)
    }


def _values(run: Run, metric: str, label: str) -> Iterable[str]:
    rows = run.query("SELECT DISTINCT labels ->> ? FROM samples WHERE metric = ?", [f"$.{label}", metric])
    return [value for (value,) in rows if value is not None]


def connections(run: Run, axis: Axis) -> dict[str, Points]:
    """Client connections by what they do, and the most there may be. A tick without a group counts nobody in it."""
    columns = run.arrays(_STATES)
    at_s = np.asarray(columns.pop("at_s"), float)
    if not len(at_s):
        return {}
    found = {name: Points(at_s=at_s, value=np.asarray(value, float)) for name, value in columns.items()}
    limit = run.arrays(_LIMIT)
    if len(limit["at_s"]):
        found["limit"] = Points(at_s=np.asarray(limit["at_s"], float), value=np.asarray(limit["value"], float))
    else:
        declared = ((run.meta.get("stack") or {}).get("postgres") or {}).get("max_connections")
        if declared:
            found["limit"] = Points(at_s=at_s[[0, -1]], value=np.full(2, float(declared)))
            return _cut(run, found, axis, whole=("limit",))
    return _cut(run, found, axis)


def _cut(run: Run, found: dict[str, Points], axis: Axis, whole: tuple[str, ...] = ()) -> dict[str, Points]:
    interval_s = float(run.meta.get("interval_s") or 1.0)
    result = {}
    for name, series in found.items():
        inside = (series.at_s >= 0) & (series.at_s <= axis.end_s)
        at_s: Array = series.at_s[inside]
        value: Array = series.value[inside]
        if not len(at_s):
            continue
        if name not in whole:
            at_s, value = with_gaps(at_s, value, interval_s)
        result[name] = Points(at_s=at_s, value=value)
    return result

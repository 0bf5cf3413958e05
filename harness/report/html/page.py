"""The page: all parts put together and written as one file.

What the browser gets as data, in ``<script id="figures" type="application/json">``::

    {"step_s": 1, "end_s": 52, "rows": 60, "lowest_decade": -4, "rows_per_decade": 10,
     "operations": ["craft", …],
     "variants": [{"name", "bands": [[name, begin_s, end_s]], "marks": [[number, at_s, kind, text]]}],
     "charts": [{"id", "title", "unit", "form", "log", "by_operation", "top", "lines": [[key, label, color, dash, views]]}],
     "lines": [{chart: {operation: {key: [y, …] or [[x, …], [y, …]]}}}]       one object per variant; operation "" is all
     "heat": [{operation: [[cell, …as steps], [count, …]]}]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from harness.errors import RecordingError
from harness.model import Verdict
from harness.record import format as layout
from harness.record.reader import Points, Run
from harness.report.html import (
    actions,
    blocking,
    charts,
    compiled,
    deadlocks,
    environment,
    operations,
    requests,
    sampled,
    slow_operations,
    statements,
)
from harness.report.html.axis import Axis, axis_of, bands, marks
from harness.report.html.chart import Chart, Line, Shown
from harness.report.html.charts import CHARTS
from harness.report.html.compact import Array, deltas, rounded
from harness.report.html.embed import json_text, policy
from harness.report.html.judgement import judgement
from harness.report.html.outcomes import in_words
from harness.report.html.requests import Window
from harness.report.html.side import Side, sides

_HERE = Path(__file__).parent
_STYLES = ("vendor/uPlot.min.css", "static/report.css")
_SCRIPTS = ("vendor/uPlot.iife.min.js", "static/format.js", "static/draw.js", "static/report.js")

_templates = compiled.environment(
    _HERE / "templates",
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write(path: Path, verdict: Verdict, runs: Sequence[Run]) -> None:
    """Write the report of an experiment as one self-contained HTML file.

    :param runs: the run folders in the order in which they are shown, the system as it was first
    :raises RecordingError: the file cannot be written
    """
    page = render(verdict, runs)
    neighbour = path.with_name(path.name + ".part")
    try:
        neighbour.write_text(page, encoding="utf-8", newline="\n")
        neighbour.replace(path)
    except OSError as error:
        neighbour.unlink(missing_ok=True)
        raise RecordingError(f"cannot write {path}: {error.strerror or error}; free some space there") from error


def render(verdict: Verdict, runs: Sequence[Run]) -> str:
    """The report as text."""
    shown = sides(verdict, runs)
    axis = axis_of(runs)
    kinds = requests.kinds_of_failure(list(runs))
    relational = not shown or any(side.run is None or side.run.has_postgres for side in shown)
    windows = [Window.of(side.run, axis) if side.run is not None else None for side in shown]
    lines = [_lines(window, kinds) if window else {} for window in windows]
    drawn = _charts(kinds, shown, lines, relational=relational)
    figures = _figures(shown, axis, drawn, windows, lines)
    styles = [_source(name) for name in _STYLES]
    scripts = [_source(name) for name in _SCRIPTS]
    first = next((side.run.meta for side in shown if side.run is not None), {})
    return _templates.get_template("report.html.j2").render(
        policy=policy(scripts=scripts, styles=styles),
        styles=[Markup(text) for text in styles],
        scripts=[Markup(text) for text in scripts],
        figures=json_text(figures),
        verdict=verdict,
        judgement=judgement(verdict, shown),
        meta=first,
        sides=shown,
        axis=axis,
        charts=drawn,
        missing={(chart.id, side.index): _missing(chart, side, figures) for chart in drawn for side in shown},
        operations=figures["operations"],
        bands=[bands(side.run) if side.run else [] for side in shown],
        marks=[marks(side.run) if side.run else [] for side in shown],
        relational=relational,
        actions=[actions.rows(side.run) if side.run else [] for side in shown],
        deadlocks=[deadlocks.deadlocks(side.run) if side.run else None for side in shown],
        blocking=[blocking.blocking(side.run) if side.run else None for side in shown],
        blocking_recorded=[side.run is not None and blocking.was_recorded(side.run) for side in shown],
        slow=[slow_operations.slow_operations(side.run) if side.run else None for side in shown],
        statements=statements.statements(shown),
        statements_missing=statements.not_recorded(shown),
        figure_columns=operations.columns(),
        figures_table=operations.figures(shown),
        too_few=operations.TOO_FEW,
        invariants=_invariants(shown),
        environment=environment.environment(shown),
        settings=environment.settings(shown),
        notes=environment.notes(shown),
        in_words=in_words,
    )


def _charts(
    kinds: list[str], shown: Sequence[Side], lines: Sequence[dict[str, Any]], *, relational: bool
) -> list[Chart]:
    """The charts that have something to show or should have, with a line for each kind of failure and each server."""
    failures = [
        Line(key=kind, label=in_words(kind), color=charts.ERROR_COLORS[index]) for index, kind in enumerate(kinds)
    ]
    failures.append(Line(key=requests.REST, label=requests.REST, color=charts.ERROR_COLORS[len(kinds)]))
    servers = charts.server_lines({name for side in shown if side.run for name in sampled.servers(side.run)})
    found = []
    for chart in CHARTS:
        seen = {key for own in lines for by_operation in own.get(chart.id, {}).values() for key in by_operation}
        if (chart.shown is Shown.POSTGRES and not relational) or (chart.shown is Shown.MEASURED and not seen):
            continue
        if chart.apart:
            chart = replace(chart, lines=(*(line for name, line in servers.items() if name in seen), *chart.lines))
        found.append(replace(chart, lines=tuple(failures)) if chart.id == "errors" else chart)
    return found


def _figures(
    shown: Sequence[Side],
    axis: Axis,
    drawn: list[Chart],
    windows: Sequence[Window | None],
    lines: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    runs = [side.run for side in shown if side.run is not None]
    rows = requests.heat_rows(runs)
    names: dict[str, None] = {}
    for run in runs:
        names.update(dict.fromkeys(requests.operations(run)))
    ids = {chart.id for chart in drawn}
    return {
        "step_s": axis.step_s,
        "end_s": axis.end_s,
        "rows": rows,
        "lowest_decade": requests.LOWEST_DECADE,
        "rows_per_decade": requests.ROWS_PER_DECADE,
        "operations": list(names),
        "variants": [_variant(side) for side in shown],
        "charts": [_described(chart) for chart in drawn],
        "lines": [{chart: found for chart, found in own.items() if chart in ids} for own in lines],
        "heat": [_heat(window, rows) if window else {} for window in windows],
    }


def _variant(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "bands": [[band.name, band.begin_s, band.end_s] for band in bands(side.run)] if side.run else [],
        "marks": [[mark.number, round(mark.at_s, 3), mark.kind, mark.text] for mark in marks(side.run)]
        if side.run
        else [],
    }


def _described(chart: Chart) -> dict[str, Any]:
    return {
        "id": chart.id,
        "title": chart.title,
        "unit": chart.unit,
        "form": chart.form,
        "log": chart.log,
        "by_operation": chart.by_operation,
        "top": chart.floor_top,
        "lines": [[line.key, line.label, line.color, line.dash, list(line.views)] for line in chart.lines],
    }


def _lines(window: Window, kinds: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "rate": _binned(requests.rates(window)),
        "latency": _binned(requests.percentiles(window)),
        "errors": _binned(requests.errors(window, kinds)),
        "connections": {requests.ALL: _sampled(sampled.connections(window.run, window.axis))},
    }
    for chart in CHARTS:
        if chart.is_sampled:
            found[chart.id] = {requests.ALL: _sampled(sampled.lines(window.run, chart, window.axis))}
    return found


def _binned(by_operation: Mapping[str, Mapping[str, Array]]) -> dict[str, Any]:
    return {name: {key: rounded(values) for key, values in lines.items()} for name, lines in by_operation.items()}


def _sampled(lines: Mapping[str, Points]) -> dict[str, Any]:
    # Times keep milliseconds whatever their size: four digits would move a sample at 1,234.5 s.
    return {key: [rounded(p.at_s.round(3), 9), rounded(p.value)] for key, p in lines.items()}


def _heat(window: Window, rows: int) -> dict[str, Any]:
    return {name: [deltas(heat.cell), heat.count.tolist()] for name, heat in requests.heat(window, rows).items()}


def _missing(chart: Chart, side: Side, figures: dict[str, Any]) -> str:
    """Why a chart has nothing to show; empty where it has."""
    if side.run is None:
        return "The run folder is not at hand."
    if chart.form == "heat":
        return "" if figures["heat"][side.index] else "No requests were recorded."
    if any(figures["lines"][side.index][chart.id].values()):
        return ""
    if chart.id == "errors":
        return "No request failed." if figures["heat"][side.index] else "No requests were recorded."
    return "No requests were recorded." if chart.by_operation else "Not measured in this run."


def _invariants(shown: Sequence[Side]) -> list[tuple[str, list[tuple[str, int | None, str]] | None]]:
    """What checking the dataset gave, of the verdict or, where it has none, of the run folder."""
    found: list[tuple[str, list[tuple[str, int | None, str]] | None]] = []
    for side in shown:
        if side.verdict is not None and side.verdict.invariants:
            found.append((side.name, [(i.name, i.violations, i.detail) for i in side.verdict.invariants]))
            continue
        stored = side.run.json(layout.INVARIANTS) if side.run is not None else None
        found.append(
            (side.name, None if stored is None else [(i["name"], i["violations"], i.get("detail", "")) for i in stored])
        )
    return found


def _source(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8").strip()

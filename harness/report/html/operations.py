"""Exact figures of each operation, over the whole run, from raw requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.record.reader import Run
from harness.report.html.outcomes import in_words
from harness.report.html.requests import operations
from harness.report.html.side import Side
from harness.units import format_value

#: Percentiles that the table has of each part of a request's time, with the fewest requests that make one: 1 / (1 - p).
RANKS = {"p50": (0.5, 2), "p90": (0.9, 10), "p99": (0.99, 100), "p99.9": (0.999, 1000)}
#: Which of them are shown for which part; the maximum is shown for all.
SHOWN = {
    "response": ("p50", "p90", "p99", "p99.9"),
    "service": ("p50", "p99"),
    "pool wait": ("p50", "p99"),
    "lag": ("p99",),
}
_SQL = {
    "response": "finished_ns - intended_ns",
    "service": "finished_ns - acquired_ns",
    "pool wait": "acquired_ns - started_ns",
    "lag": "started_ns - intended_ns",
}
TOO_FEW = "too few"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One operation in one variant.

    :param operation: None for all operations together
    :param errors: kind in words, count and share, most frequent first
    :param times: texts in the order of :func:`columns`
    """

    operation: str | None
    variant: str
    count: int
    ok: int
    errors: tuple[tuple[str, int, str], ...]
    times: tuple[str, ...]


def columns() -> list[tuple[str, tuple[str, ...]]]:
    """Heading groups of the table of times: the part, and what is shown of it."""
    return [(part, (*ranks, "max")) for part, ranks in SHOWN.items()]


def figures(shown: Sequence[Side]) -> list[Figures]:
    """The table's rows: operation by operation, the variants of each beside one another; last, all operations together."""
    by_side = [(side.name, _of_run(side.run)) for side in shown if side.run is not None]
    names: dict[str | None, None] = {}
    for side in shown:
        if side.run is not None:
            names.update(dict.fromkeys(operations(side.run)))
    order = [*names, None] if len(names) != 1 else [*names]
    return [
        Figures(operation=name, variant=variant, **table[name])
        for name in order
        for variant, table in by_side
        if name in table
    ]


def _of_run(run: Run) -> dict[str | None, dict[str, Any]]:
    ranks = [rank for rank, _ in RANKS.values()]
    selected = ", ".join(
        f"count({sql}) AS n{i}, quantile_disc({sql}, {ranks}) AS q{i}, max({sql}) AS m{i}"
        for i, sql in enumerate(_SQL.values())
    )
    rows = run.query(
        f"SELECT operation, count(*), count(*) FILTER (outcome = 'ok'), {selected}"
        " FROM request_rows GROUP BY GROUPING SETS ((operation), ())"
    )
    kinds = run.query(
        "SELECT operation, outcome, count(*) AS n FROM request_rows WHERE outcome <> 'ok'"
        " GROUP BY GROUPING SETS ((operation, outcome), (outcome)) ORDER BY n DESC, outcome"
    )
    table: dict[str | None, dict[str, Any]] = {}
    for operation, count, ok, *times in rows:
        if count == 0:
            continue
        errors = tuple(
            (in_words(kind), n, format_value(n / count, "ratio")) for op, kind, n in kinds if op == operation
        )
        texts: list[str] = []
        for index, part in enumerate(_SQL):
            measured, quantiles, longest = times[3 * index : 3 * index + 3]
            texts += _texts(part, measured, quantiles, longest)
        table[operation] = {"count": count, "ok": ok, "errors": errors, "times": tuple(texts)}
    return table


def _texts(part: str, measured: int, quantiles: list[int] | None, longest: int | None) -> list[str]:
    texts = []
    for index, (name, (_, fewest)) in enumerate(RANKS.items()):
        if name in SHOWN[part]:
            if not measured or quantiles is None:
                texts.append("—")
            else:
                texts.append(TOO_FEW if measured < fewest else format_value(quantiles[index] / 1e9, "s"))
    texts.append(format_value(None if longest is None else longest / 1e9, "s"))
    return texts

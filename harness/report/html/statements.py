"""The top statements of all variants beside one another, matched by their normalised text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from harness.record import format as layout
from harness.record.reader import Run
from harness.report.html.plans import Plan, plans
from harness.report.html.side import Side
from harness.units import format_value

MOST_STATEMENTS = 20

_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_PARAMETER = re.compile(r"\$\d+")
_PARAMETERS = re.compile(r"\(\s*\?(?:\s*,\s*\?)+\s*\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What one variant did with a statement."""

    calls: int
    total_s: float
    mean_s: float
    rows: int | None

    @property
    def texts(self) -> tuple[str, str, str]:
        """Calls, total and mean for people."""
        return f"{self.calls:,}", format_value(self.total_s, "s"), format_value(self.mean_s, "s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement in all variants.

    :param uses: one per side; None where the variant did not run it
    :param changes: one per side: its mean time against that of the first side
    """

    query: str
    uses: tuple[Use | None, ...]
    changes: tuple[str, ...]
    plans: tuple[tuple[str, Plan], ...]


def statements(shown: Sequence[Side]) -> list[Statement]:
    """The statements that took most time in any variant, most first; empty where none were recorded."""
    uses = [_uses(side.run) if side.run else {} for side in shown]
    explained = [{normalised(q): p for q, p in plans(side.run).items()} if side.run else {} for side in shown]
    texts: dict[str, str] = {}
    total: dict[str, float] = {}
    for own in uses:
        for key, (query, use) in own.items():
            texts.setdefault(key, query)
            total[key] = max(total.get(key, 0.0), use.total_s)
    # Time in one variant is what counts: a statement that only the slow one ran must not be pushed out by the sum of others.
    top = sorted(total, key=lambda key: -total[key])[:MOST_STATEMENTS]
    result = []
    for key in top:
        row = tuple(own[key][1] if key in own else None for own in uses)
        result.append(
            Statement(
                query=texts[key],
                uses=row,
                changes=tuple(_change(row[0], use) if index else "" for index, use in enumerate(row)),
                plans=tuple((side.name, own[key]) for side, own in zip(shown, explained, strict=True) if key in own),
            )
        )
    return result


def normalised(query: str) -> str:
    """What two texts of one statement have in common: no comments, one space, parameters without numbers or count.

    >>> normalised("SELECT  x FROM t WHERE id IN ($1, $2) -- craft") == normalised("select x from t where id in ($4,$5,$6);")
    True
    """
    text = " ".join(_COMMENT.sub(" ", query).split()).rstrip("; ").lower()
    return _PARAMETERS.sub("(?)", _PARAMETER.sub("?", text))


def not_recorded(shown: Sequence[Side]) -> list[str]:
    """Variants whose statements are not in their run folder, or cannot be read."""
    return [side.name for side in shown if side.run is None or _read(side.run) is None]


def _uses(run: Run) -> dict[str, tuple[str, Use]]:
    found: dict[str, tuple[str, Use]] = {}
    for query, calls, total_s, rows in _read(run) or ():
        key = normalised(str(query))
        before = found.get(key)
        if before is not None:
            calls, total_s = calls + before[1].calls, total_s + before[1].total_s
            rows = None if rows is None or before[1].rows is None else rows + before[1].rows
        mean_s = total_s / calls if calls else 0.0
        found[key] = (str(query), Use(calls=int(calls), total_s=float(total_s), mean_s=mean_s, rows=rows))
    return found


def _read(run: Run) -> list[tuple[str, int, float, int | None]] | None:
    path = run.folder / layout.STATEMENTS
    if not path.exists():
        return None
    try:
        return run.query(
            "SELECT query, calls, total_exec_s, rows FROM read_parquet(?) WHERE calls > 0 ORDER BY total_exec_s DESC",
            [str(path)],
        )
    except duckdb.Error:
        return None


def _change(before: Use | None, now: Use | None) -> str:
    if now is None:
        return "not run"
    if before is None:
        return "new"
    if not before.mean_s or not now.mean_s:
        return "—"
    ratio = now.mean_s / before.mean_s
    if 0.95 < ratio < 1.05:
        return "the same"
    return f"{_times(1 / ratio)}× faster" if ratio < 1 else f"{_times(ratio)}× slower"


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"

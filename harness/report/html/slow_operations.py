"""The slowest operations of MongoDB's members, from their logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.record import format as layout
from harness.record.points import points
from harness.record.reader import Run
from harness.units import format_value

SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowOperation:
    """One line of the log, as the table shows it."""

    at_s: float
    took: str
    member: str
    namespace: str
    plan: str
    examined: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowOperations:
    """Those of one run.

    :param count: how many the members logged during the run; None: not measured
    """

    count: int | None
    slowest: tuple[SlowOperation, ...]


def slow_operations(run: Run) -> SlowOperations | None:
    """What the members logged as slow, the slowest first; None where no member's log was read."""
    if not (run.folder / layout.SLOW_OPERATIONS).exists():
        return None
    lines = sorted(run.lines(layout.SLOW_OPERATIONS), key=lambda line: -float(line.get("took_s") or 0))
    counted = points(run, "mongo.slow_operations").value
    return SlowOperations(
        count=round(float(counted[-1])) if len(counted) else None, slowest=tuple(map(_shown, lines[:SHOWN]))
    )


def _shown(line: dict[str, Any]) -> SlowOperation:
    keys, documents = line.get("keys_examined"), line.get("documents_examined")
    return SlowOperation(
        at_s=float(line.get("at_s") or 0.0),
        took=format_value(line.get("took_s"), "s"),
        member=str(line.get("member", "")),
        namespace=str(line.get("namespace") or "—"),
        plan=str(line.get("plan") or "—"),
        examined=f"{format_value(keys, '')} keys, {format_value(documents, '')} documents",
        command=str(line.get("command") or ""),
    )

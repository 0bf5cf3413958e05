"""Deadlocks as the server's log reports them, one for each shape: the same statements in the same cycle are one shape."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from harness.record import format as layout
from harness.record.reader import Run
from harness.report.html.graph import Graph, graph

MOST_SHAPES = 10

_NUMBER_OR_TEXT = re.compile(r"'(?:[^']|'')*'|\b\d+\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A session in a deadlock, called by a letter."""

    letter: str
    pid: int | None
    waits_for: str
    blocked_by: str
    statement: str
    victim: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A kind of deadlock, with its first occurrence as example.

    :param at_s: when each happened, at most a few
    """

    count: int
    at_s: tuple[float, ...]
    last_s: float
    participants: tuple[Participant, ...]
    graph: Graph
    context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlocks:
    """All of a run: how many, of how many shapes, and the most frequent shapes."""

    count: int
    distinct: int
    shapes: tuple[Shape, ...]


def deadlocks(run: Run) -> Deadlocks | None:
    """The deadlocks of a run; None where no report of the server's log was recorded."""
    if not (run.folder / layout.DEADLOCKS).exists():
        return None
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    reports = run.lines(layout.DEADLOCKS)
    for report in reports:
        found.setdefault(_key(report), []).append(report)
    frequent = sorted(found.values(), key=lambda group: (-len(group), _at(group[0])))
    return Deadlocks(
        count=len(reports), distinct=len(found), shapes=tuple(_shape(group) for group in frequent[:MOST_SHAPES])
    )


def _key(report: dict[str, Any]) -> tuple[str, ...]:
    """What is the same in two deadlocks of one shape: lock modes and statements around the cycle, whatever the values."""
    parts = [
        f"{process.get('mode')} {_generic(str(process.get('object') or process.get('waits_for') or ''))} "
        f"{_generic(str(process.get('statement') or ''))}"
        for process in _in_cycle(report)
    ]
    if not parts:
        return (_generic(str(report.get("failed_statement") or "")),)
    # A cycle has no first member: begin with the smallest.
    return min(tuple(parts[i:] + parts[:i]) for i in range(len(parts)))


def _in_cycle(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The processes in the order in which each waits for the next."""
    left = {process.get("pid"): process for process in report.get("processes") or () if isinstance(process, dict)}
    ordered: list[dict[str, Any]] = []
    pid = next(iter(left), None)
    while left:
        process = left.pop(pid) if pid in left else left.pop(next(iter(left)))
        ordered.append(process)
        pid = process.get("blocked_by")
    return ordered


def _shape(group: list[dict[str, Any]]) -> Shape:
    example = group[0]
    processes = _in_cycle(example)
    letters = {process.get("pid"): _letter(index) for index, process in enumerate(processes)}
    victim = example.get("victim_pid")
    participants = tuple(
        Participant(
            letter=letters[process.get("pid")],
            pid=process.get("pid"),
            waits_for=str(process.get("waits_for") or f"{process.get('mode')} on {process.get('object')}"),
            blocked_by=letters.get(process.get("blocked_by"), "a session that the report does not name"),
            statement=str(process.get("statement") or "not in the log"),
            victim=process.get("pid") == victim,
        )
        for process in processes
    )
    times = sorted(_at(report) for report in group)
    return Shape(
        count=len(group),
        at_s=tuple(times[:5]),
        last_s=times[-1],
        participants=participants,
        graph=graph(
            [item.letter for item in participants],
            [(item.letter, item.blocked_by) for item in participants],
            letters.get(victim),
        ),
        context=str(example.get("context") or ""),
    )


def _letter(index: int) -> str:
    return string.ascii_uppercase[index] if index < 26 else str(index + 1)


def _at(report: dict[str, Any]) -> float:
    return float(report.get("at_s") or 0.0)


@lru_cache(maxsize=4096)  # a storm repeats few statements
def _generic(text: str) -> str:
    return " ".join(_NUMBER_OR_TEXT.sub("?", text).split())

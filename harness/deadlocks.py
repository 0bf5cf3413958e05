"""The same deadlocks counted by three parties that do not know of each other: clients, the server's log, its counter."""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness.model import DeadlockCount
from harness.record import format as layout
from harness.record.points import points, was_reset
from harness.record.reader import Run

DEADLOCK = "40P01"

#: One edge of the lock graph, as PostgreSQL words it in the DETAIL of the error.
_EDGE = re.compile(r"Process (\d+) waits for (.+?); blocked by process (\d+)\.")

#: Who waits for which lock, held by whom.
Edge = tuple[int, str, int]


def count_deadlocks(run: Run) -> DeadlockCount | None:
    """The counts of a run; each None where its source was not recorded. None of a run without PostgreSQL.

    A report of the log is matched by a client's failure that was told the same lock graph: the same processes, locks and
    transactions. Each failure matches one report.
    """
    if not run.has_postgres:
        return None
    reports = run.lines(layout.DEADLOCKS) if (run.folder / layout.DEADLOCKS).exists() else None
    [(rows, victims)] = run.query("SELECT count(*), count(*) FILTER (WHERE outcome = ?) FROM requests", [DEADLOCK])
    return DeadlockCount(
        client=int(victims) if rows else None,
        log=None if reports is None else len(reports),
        counter=_counter(run),
        matched=None if reports is None or not rows else _matched(map(_graph, reports), _told(run)),
    )


def _counter(run: Run) -> int | None:
    """Increase of the server's counter; None where it was read less than twice, or lost what it had counted."""
    got = points(run, "deadlocks")
    return None if len(got.at_s) < 2 or was_reset(run, "deadlocks") else round(float(got.value[-1]))


def _graph(report: dict[str, object]) -> frozenset[Edge]:
    processes = report.get("processes")
    entries = processes if isinstance(processes, list) else []
    return frozenset((int(one["pid"]), str(one["waits_for"]), int(one["blocked_by"])) for one in entries)


def _told(run: Run) -> list[frozenset[Edge]]:
    """The lock graphs that clients were told, where they were told any."""
    graphs = [
        edges_of(str(failure.get("detail") or ""))
        for path in sorted(run.folder.glob("failures-*.jsonl"))
        for failure in run.lines(path.name)
        if failure.get("outcome") == DEADLOCK
    ]
    return [graph for graph in graphs if graph]


def edges_of(detail: str) -> frozenset[Edge]:
    """The lock graph in the DETAIL that comes with SQLSTATE 40P01.

    >>> sorted(edges_of("Process 12 waits for ShareLock on transaction 34; blocked by process 56."))
    [(12, 'ShareLock on transaction 34', 56)]
    """
    return frozenset((int(pid), lock, int(by)) for pid, lock, by in _EDGE.findall(detail))


def _matched(reports: Iterable[frozenset[Edge]], told: list[frozenset[Edge]]) -> int:
    left, matched = list(told), 0
    for report in reports:
        # What the client keeps of a very long graph is cut, so a part of it is enough.
        found = next((graph for graph in left if graph <= report), None)
        if found is not None:
            left.remove(found)
            matched += 1
    return matched

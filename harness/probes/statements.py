"""What each statement cost during the load: pg_stat_statements, after minus before.

An entry that was thrown out for want of room and came back counts from its return: a lower bound, which
:attr:`Difference.evictions` tells of. Statements that only steer a session or a transaction (BEGIN, SET, …) are left out: their cost
is in what they enclose; so is the schema's own work. The probes' statements are not tracked at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import asyncpg
import duckdb

from harness.errors import RecordingError
from harness.probes.connection import ProbeConnection, sql
from harness.probes.probe import Unmeasured
from harness.record import format as layout

_Key = tuple[int, int, bool]  # user, query id, toplevel

_ASKS_OR_CHANGES = re.compile(
    r"^(\s|--[^\n]*\n|/\*.*?\*/|\()*(select|insert|update|delete|merge|with|values|table|call|do|copy|declare|fetch|execute|lock)\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementCost:
    """One normalised statement's cost; the columns of ``statements.parquet``, in this order.

    :param shared_blk_read_s: as the one below, None where the server does not time its I/O (track_io_timing is off)
    """

    query: str
    calls: int
    total_exec_s: float
    mean_exec_s: float
    rows: int
    shared_blks_hit: int
    shared_blks_read: int
    temp_blks_written: int
    wal_bytes: int
    shared_blk_read_s: float | None
    shared_blk_write_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """pg_stat_statements at one moment.

    :param evictions: how often entries were thrown out so far
    :param times_io: whether the server times its I/O
    """

    entries: Mapping[_Key, asyncpg.Record]
    evictions: int
    reset_at: datetime | None
    times_io: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What statements cost between two snapshots, the dearest first.

    :param evictions: how often entries were thrown out in between: then figures are lower bounds
    :param was_reset: the statistics were reset in between: what came before the reset is lost
    """

    costs: Sequence[StatementCost]
    evictions: int
    was_reset: bool


async def snapshot(connection: ProbeConnection) -> Snapshot:
    """Read pg_stat_statements.

    :raises Unmeasured: the extension is not there, or not loaded
    """
    try:
        rows = await connection.fetch(sql("statements"))
        [info] = await connection.fetch(sql("statements_info"))
    except (asyncpg.UndefinedTableError, asyncpg.ObjectNotInPrerequisiteStateError) as error:
        raise Unmeasured("pg_stat_statements is not installed or not loaded on this server") from error
    entries = {(row["userid"], row["queryid"], row["toplevel"]): row for row in rows if row["queryid"] is not None}
    return Snapshot(entries=entries, evictions=info["dealloc"], reset_at=info["stats_reset"], times_io=info["times_io"])


def difference(before: Snapshot, after: Snapshot) -> Difference:
    """What was spent between two snapshots; one line per text, whoever called it and from where."""
    was_reset = before.reset_at != after.reset_at
    totals: dict[str, dict[str, float]] = {}
    for key, row in after.entries.items():
        earlier = None if was_reset else before.entries.get(key)
        if earlier is not None and _began_anew(earlier, row):
            earlier = None
        spent = {name: value - (_figures(earlier)[name] if earlier else 0) for name, value in _figures(row).items()}
        if spent["calls"] > 0 and _ASKS_OR_CHANGES.match(row["query"] or ""):
            sums = totals.setdefault(row["query"], dict.fromkeys(spent, 0))
            for name, value in spent.items():
                sums[name] += value
    costs = [_cost(query, sums, times_io=before.times_io and after.times_io) for query, sums in totals.items()]
    return Difference(
        costs=sorted(costs, key=lambda cost: (-cost.total_exec_s, cost.query)),
        evictions=after.evictions - before.evictions if after.evictions >= before.evictions else after.evictions,
        was_reset=was_reset,
    )


def write(folder: Path, costs: Sequence[StatementCost]) -> None:
    """Write ``statements.parquet``, also where there are none.

    :raises RecordingError: it cannot be written
    """
    names = StatementCost.__slots__
    with duckdb.connect(":memory:") as db:
        db.execute(
            "CREATE TABLE statements (query VARCHAR, calls BIGINT, total_exec_s DOUBLE, mean_exec_s DOUBLE, rows BIGINT,"
            " shared_blks_hit BIGINT, shared_blks_read BIGINT, temp_blks_written BIGINT, wal_bytes BIGINT,"
            " shared_blk_read_s DOUBLE, shared_blk_write_s DOUBLE)"
        )
        if costs:
            marks = ", ".join("?" * len(names))
            db.executemany(
                f"INSERT INTO statements VALUES ({marks})", [[getattr(cost, name) for name in names] for cost in costs]
            )
        path = str(folder / layout.STATEMENTS).replace("'", "''")
        try:
            db.execute(f"COPY statements TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
        except duckdb.IOException as error:
            raise RecordingError(
                f"cannot write {folder / layout.STATEMENTS}: {error}; free some space there, or choose another folder with --out"
            ) from error


def _began_anew(earlier: asyncpg.Record, row: asyncpg.Record) -> bool:
    """Whether an entry is not the one that it was: its counters went back, or (17 and later) it says since when it counts."""
    since, since_earlier = row.get("stats_since"), earlier.get("stats_since")
    return bool(since != since_earlier or row["calls"] < earlier["calls"])


def _figures(row: asyncpg.Record) -> dict[str, float]:
    # Up to 16 the times of blocks are not told apart by shared and local.
    read_ms, write_ms = (row.get(f"shared_blk_{way}_time", row.get(f"blk_{way}_time")) for way in ("read", "write"))
    return {
        "calls": row["calls"],
        "total_exec_s": row["total_exec_time"] / 1e3,
        "rows": row["rows"],
        "shared_blks_hit": row["shared_blks_hit"],
        "shared_blks_read": row["shared_blks_read"],
        "temp_blks_written": row["temp_blks_written"],
        "wal_bytes": int(row["wal_bytes"]),
        "shared_blk_read_s": (read_ms or 0.0) / 1e3,
        "shared_blk_write_s": (write_ms or 0.0) / 1e3,
    }


def _cost(query: str, sums: Mapping[str, float], *, times_io: bool) -> StatementCost:
    whole = ("calls", "rows", "shared_blks_hit", "shared_blks_read", "temp_blks_written", "wal_bytes")
    counts = {name: int(sums[name]) for name in whole}
    return StatementCost(
        query=query,
        total_exec_s=sums["total_exec_s"],
        mean_exec_s=sums["total_exec_s"] / sums["calls"],
        shared_blk_read_s=sums["shared_blk_read_s"] if times_io else None,
        shared_blk_write_s=sums["shared_blk_write_s"] if times_io else None,
        **counts,
    )

"""The difference of two readings of pg_stat_statements, whichever version's columns they have."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import asyncpg
import duckdb
import pytest

from harness.probes.statements import Snapshot, StatementCost, difference, write

RESET = datetime(2026, 1, 1, tzinfo=UTC)


def entry(query: str, calls: int, exec_ms: float, **others: Any) -> dict[str, Any]:
    """A row as the view has it in version 18, unless told otherwise."""
    return {
        "query": query,
        "calls": calls,
        "total_exec_time": exec_ms,
        "rows": calls * 2,
        "shared_blks_hit": calls * 10,
        "shared_blks_read": calls,
        "temp_blks_written": 0,
        "wal_bytes": calls * 100,
        "shared_blk_read_time": 4.0 * calls,
        "shared_blk_write_time": 0.0,
        **others,
    }


def snap(
    *entries: tuple[int, dict[str, Any]], evictions: int = 0, reset_at: datetime = RESET, user: int = 10
) -> Snapshot:
    made = {(user, query_id, True): cast("asyncpg.Record", row) for query_id, row in entries}
    return Snapshot(entries=made, evictions=evictions, reset_at=reset_at)


def test_only_what_was_spent_in_between_counts() -> None:
    found = difference(
        snap((1, entry("SELECT a", 100, 1000.0)), (2, entry("SELECT idle", 5, 5.0))),
        snap((1, entry("SELECT a", 110, 1500.0)), (2, entry("SELECT idle", 5, 5.0)), (3, entry("UPDATE b", 4, 2000.0))),
    )
    assert [(cost.query, cost.calls, cost.total_exec_s) for cost in found.costs] == [
        ("UPDATE b", 4, 2.0),
        ("SELECT a", 10, 0.5),
    ]
    assert found.costs[1].mean_exec_s == pytest.approx(0.05)
    assert found.costs[1].rows == 20
    assert found.costs[1].shared_blk_read_s == pytest.approx(0.04)
    assert (found.evictions, found.was_reset) == (0, False)


def test_what_the_server_does_not_time_is_not_measured() -> None:
    untimed = replace(snap((1, entry("SELECT a", 1, 1.0))), times_io=False)
    [cost] = difference(replace(snap(), times_io=False), untimed).costs
    assert (cost.shared_blk_read_s, cost.shared_blk_write_s, cost.calls) == (None, None, 1)


def test_the_block_times_of_older_versions_are_found() -> None:
    old = entry("SELECT a", 1, 1.0, blk_read_time=7.0, blk_write_time=0.0)
    del old["shared_blk_read_time"], old["shared_blk_write_time"]
    assert difference(snap(), snap((1, old))).costs[0].shared_blk_read_s == pytest.approx(0.007)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (entry("SELECT a", 100, 1000.0), entry("SELECT a", 7, 70.0)),
        (
            entry("SELECT a", 5, 50.0, stats_since=RESET),
            entry("SELECT a", 7, 70.0, stats_since=RESET.replace(month=2)),
        ),
    ],
    ids=["fewer calls than before", "counts since later"],
)
def test_an_entry_that_was_thrown_out_counts_from_its_return(before: dict[str, Any], after: dict[str, Any]) -> None:
    found = difference(snap((1, before), evictions=3), snap((1, after), evictions=9))
    assert (found.costs[0].calls, found.costs[0].total_exec_s) == (7, pytest.approx(0.07))
    assert found.evictions == 6


def test_after_a_reset_everything_there_was_spent_since() -> None:
    later = RESET.replace(month=3)
    found = difference(
        snap((1, entry("SELECT a", 5, 50.0)), evictions=4), snap((1, entry("SELECT a", 7, 70.0)), reset_at=later)
    )
    assert (found.was_reset, found.costs[0].calls, found.evictions) == (True, 7, 0)


def test_the_same_text_of_several_entries_is_one_line() -> None:
    found = difference(snap(), snap((1, entry("SELECT a", 1, 10.0)), (2, entry("SELECT a", 3, 50.0))))
    assert [(cost.calls, cost.total_exec_s) for cost in found.costs] == [(4, pytest.approx(0.06))]


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("BEGIN", False),
        ("COMMIT", False),
        ("SET statement_timeout = $1", False),
        ("CREATE TABLE t ()", False),
        ("-- craft\n SELECT 1", True),
        ("/* a\n b */ update t set x = 1", True),
        ("(SELECT 1) UNION ALL SELECT 2", True),
        ("COPY t FROM STDIN", True),
    ],
)
def test_statements_that_only_steer_are_left_out(query: str, kept: bool) -> None:
    assert bool(difference(snap(), snap((1, entry(query, 1, 1.0)))).costs) is kept


def test_the_file_has_the_columns_in_their_order(tmp_path: Path) -> None:
    found = difference(snap(), snap((1, entry("SELECT 'it''s'", 2, 10.0))))
    write(tmp_path, found.costs)
    with duckdb.connect(":memory:") as db:
        rows = db.execute("SELECT * FROM read_parquet(?)", [str(tmp_path / "statements.parquet")])
        names = [column[0] for column in rows.description]
        assert rows.fetchall() == [("SELECT 'it''s'", 2, 0.01, 0.005, 4, 20, 2, 0, 200, 0.008, 0.0)]
    assert names == list(StatementCost.__slots__)


def test_no_statements_is_a_file_without_rows(tmp_path: Path) -> None:
    write(tmp_path, [])
    with duckdb.connect(":memory:") as db:
        count = db.execute("SELECT count(*) FROM read_parquet(?)", [str(tmp_path / "statements.parquet")]).fetchone()
    assert count == (0,)

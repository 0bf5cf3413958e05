"""The server's counters, against what was done and against the views themselves."""

from __future__ import annotations

import pytest

from harness.probes import ProbeSet
from harness.stack.postgres.endpoint import Endpoint
from tests.integration.probes.conftest import Crowd, probe, total, until

pytestmark = pytest.mark.server


async def test_a_sort_that_spills_shows_as_temporary_bytes(probe_set: ProbeSet, crowd: Crowd) -> None:
    database = probe(probe_set, "database")
    before = await database.sample(1.0)
    session = await crowd.join()
    await session.execute("SET work_mem = '64kB'")
    plan = await session.fetch(
        "EXPLAIN (ANALYZE, COSTS off) SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i ORDER BY md5(i::text)"
    )
    said = "\n".join(row[0] for row in plan)
    assert "external" in said, said
    await session.close()

    async def told() -> bool:
        now = await database.sample(2.0)
        return total(now, "pg_stat_database_temp_bytes") > total(before, "pg_stat_database_temp_bytes")

    await until(told)
    after = await database.sample(3.0)
    grown = total(after, "pg_stat_database_temp_bytes") - total(before, "pg_stat_database_temp_bytes")
    assert grown > 20_000 * 100, "at least the sorted rows themselves"
    assert total(after, "pg_stat_database_temp_files") > total(before, "pg_stat_database_temp_files")


async def test_commits_rollbacks_rows_and_wal(probe_set: ProbeSet, crowd: Crowd) -> None:
    database = probe(probe_set, "database")
    session = await crowd.join()
    before = await database.sample(1.0)
    for _ in range(7):
        await session.execute("UPDATE counters SET n = n + 1")
    for _ in range(3):
        await session.execute("BEGIN")
        await session.execute("DELETE FROM counters")
        await session.execute("ROLLBACK")
    await session.close()

    async def told() -> bool:
        now = await database.sample(2.0)
        return total(now, "pg_stat_database_tup_updated") - total(before, "pg_stat_database_tup_updated") >= 70

    await until(told)
    after = await database.sample(3.0)

    def grown(metric: str) -> float:
        return total(after, metric) - total(before, metric)

    assert grown("pg_stat_database_tup_updated") == 70
    assert grown("pg_stat_database_xact_rollback") == 3
    assert grown("pg_stat_database_xact_commit") >= 7
    assert grown("pg_stat_wal_bytes") > 0


async def test_every_number_of_the_views_is_there_under_an_exporters_name(
    probe_set: ProbeSet, crowd: Crowd, postgres: Endpoint
) -> None:
    samples = await probe(probe_set, "database").sample(1.0)
    metrics = {sample.metric for sample in samples}
    watcher = await crowd.join(superuser=True)
    numeric = "data_type IN ('bigint', 'integer', 'double precision', 'numeric')"
    query = f"SELECT column_name FROM information_schema.columns WHERE table_name = $1 AND {numeric}"
    columns = {row[0] for row in await watcher.fetch(query, "pg_stat_database")}
    # without data checksums the server says NULL for their failures: not measured
    expected = {f"pg_stat_database_{column}" for column in columns - {"datid", "checksum_failures"}}
    assert expected <= metrics
    assert "pg_stat_bgwriter_buffers_alloc_total" in metrics
    checkpoints = "pg_stat_checkpointer_num_timed_total" if postgres.version_num >= 170000 else None
    assert (checkpoints or "pg_stat_bgwriter_checkpoints_timed_total") in metrics
    if postgres.version_num >= 160000:
        assert total(samples, "pg_stat_io_hits", backend_type="client backend", object="relation") > 0
    [row] = await watcher.fetch("SELECT datid, datname FROM pg_stat_database WHERE datname = current_database()")
    assert total(samples, "pg_stat_database_blks_hit", datid=str(row["datid"]), datname=row["datname"]) > 0

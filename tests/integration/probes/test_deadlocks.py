"""A real deadlock: what the client was told, what the log says and what the server counts are the same."""

from __future__ import annotations

import json
from pathlib import Path

import asyncpg
import pytest

from harness.clock import Origin
from harness.probes import ProbeSet, final_reading
from harness.probes.deadlock_report import parse_detail
from harness.probes.sampler import Sampler, Tick
from harness.record import format as layout
from harness.record.writer import EventWriter, SampleWriter
from tests.integration.probes.conftest import Crowd, deadlock, of_postgres, probe, total

pytestmark = pytest.mark.server


def reports(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / layout.DEADLOCKS).read_text().splitlines()]


async def test_client_log_and_counter_agree_after_the_final_reading(
    probe_set: ProbeSet, crowd: Crowd, tmp_path: Path, origin: Origin
) -> None:
    deadlocks = of_postgres(probe_set).deadlocks
    assert deadlocks is not None
    counter_before = total(await probe(probe_set, "database").sample(0.0), "pg_stat_database_deadlocks")
    first, second = await crowd.join(), await crowd.join()
    first_pid, second_pid = first.get_server_pid(), second.get_server_pid()
    pids = {first_pid, second_pid}
    begun_s = origin.at_s()
    error, loser = await deadlock(first, second)
    ended_s = origin.at_s()
    # Disconnect at once: what the sessions have not told the statistics yet, they tell when they end.
    first.terminate()
    second.terminate()
    ticks: dict[str, Tick] = {}
    samples, events = SampleWriter(tmp_path), EventWriter(tmp_path)
    try:
        sampler = Sampler(
            probe_set.probes, samples, events, origin, on_tick=lambda tick: ticks.update({tick.probe: tick})
        )
        assert await final_reading(probe_set, sampler) is True
    finally:
        samples.close()
        events.close()
    assert total(ticks["database"].samples, "pg_stat_database_deadlocks") - counter_before == 1
    assert total(ticks["deadlocks"].samples, "flashcrowd_log_deadlocks_total") == 1
    assert total(ticks["deadlocks"].samples, "flashcrowd_log_errors_total", sqlstate="40P01") == 1
    assert ticks.keys() == {one.name for one in probe_set.probes}

    [report] = reports(tmp_path)
    assert report["victim_pid"] == loser
    assert begun_s - 0.01 <= float(str(report["at_s"])) <= ended_s + 0.01
    processes = report["processes"]
    assert isinstance(processes, list)
    assert {one["pid"] for one in processes} == pids
    assert {one["blocked_by"] for one in processes} == pids
    told = parse_detail(str(error.detail))
    assert [(one["pid"], one["waits_for"], one["blocked_by"]) for one in processes] == [
        (one.pid, f"{one.mode} on {one.object}", one.blocked_by) for one in told
    ]
    statements = {one["pid"]: one["statement"] for one in processes}
    assert statements[first_pid] == "UPDATE counters SET n = n + 1 -- first\n WHERE id = 2"
    assert statements[second_pid] == "UPDATE counters SET n = n + 1 -- second\n WHERE id = 1"
    assert report["failed_statement"] == statements[loser]
    assert 'in relation "counters"' in str(report["context"])


async def test_errors_are_counted_by_sqlstate_and_only_from_now_on(
    probe_set: ProbeSet, crowd: Crowd, tmp_path: Path
) -> None:
    deadlocks = of_postgres(probe_set).deadlocks
    assert deadlocks is not None
    session = await crowd.join()
    for _ in range(3):
        with pytest.raises(asyncpg.DivisionByZeroError):
            await session.fetchval("SELECT 1 / 0")
    with pytest.raises(asyncpg.UndefinedTableError):
        await session.fetchval("SELECT * FROM nowhere")
    with pytest.raises(asyncpg.PostgresError):  # a probe's own errors are no finding
        await of_postgres(probe_set).connection.fetch("SELECT * FROM nowhere")
    assert await deadlocks.catch_up(of_postgres(probe_set).connection)
    samples = await deadlocks.sample(1.0)
    assert total(samples, "flashcrowd_log_errors_total", sqlstate="22012") == 3
    assert total(samples, "flashcrowd_log_errors_total", sqlstate="42P01") == 1
    assert total(samples, "flashcrowd_log_deadlocks_total") == 0
    assert reports(tmp_path) == []


async def test_a_session_that_stays_is_waited_out(probe_set: ProbeSet, crowd: Crowd, tmp_path: Path) -> None:
    session = await crowd.join()
    await session.fetchval("SELECT 1")
    samples, events = SampleWriter(tmp_path), EventWriter(tmp_path)
    sampler = Sampler(probe_set.probes, samples, events, Origin.after(0))
    try:
        assert await final_reading(probe_set, sampler, leave_limit_s=0.2, flush_s=0.1) is False
        assert set(sampler.latest) == {one.name for one in probe_set.probes}
    finally:
        samples.close()
        events.close()

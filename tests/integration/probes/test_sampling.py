"""The whole set of probes on a server: ten times a second, through a crash, and through a server that hangs."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from harness.clock import Origin
from harness.model import Dataset, Event, Topology
from harness.probes import ProbeSet, all_probes, final_reading
from harness.probes.sampler import Sampler
from harness.record import format as layout
from harness.record.reader import Run
from harness.record.writer import EventWriter, SampleWriter, write_json
from harness.stack.embedded import EmbeddedStack
from tests.integration.conftest import SCALE, SEED
from tests.integration.probes.conftest import Crowd, until

pytestmark = pytest.mark.server

BY_SQL = ("activity", "blocking", "database")


@asynccontextmanager
async def sampling(probe_set: ProbeSet, folder: Path, origin: Origin, interval_s: float) -> AsyncIterator[Sampler]:
    """Sample while the block runs."""
    samples, events = SampleWriter(folder), EventWriter(folder)
    sampler = Sampler(probe_set.probes, samples, events, origin, interval_s)
    stop = asyncio.Event()
    running = asyncio.create_task(sampler.run(stop))
    try:
        yield sampler
        stop.set()
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        samples.close()
        events.close()


def recorded(folder: Path) -> Run:
    write_json(folder / layout.RUN, {"format": layout.VERSION})
    return Run(folder)


def sees(sampler: Sampler, *probes: str) -> Callable[[], Awaitable[bool]]:
    async def all_seen() -> bool:
        return all(name in sampler.latest for name in probes)

    return all_seen


def sees_none(sampler: Sampler, *probes: str) -> Callable[[], Awaitable[bool]]:
    async def none_seen() -> bool:
        return not any(name in sampler.latest for name in probes)

    return none_seen


def gaps(run: Run, edge: str) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in run.events("gap"):
        if event.fields["edge"] == edge:
            found.setdefault(str(event.fields["probe"]), []).append(event)
    return found


async def test_ten_times_a_second(probe_set: ProbeSet, crowd: Crowd, tmp_path: Path, origin: Origin) -> None:
    for _ in range(10):
        await crowd.join()
    async with sampling(probe_set, tmp_path, origin, 0.1) as sampler:

        async def two_seconds() -> bool:
            return origin.at_s() > 2.05 and all(probe.name in sampler.latest for probe in probe_set.probes)

        await until(two_seconds)
    run = recorded(tmp_path)
    for probe in probe_set.probes:
        times = run.query("SELECT at_s FROM ticks WHERE probe = ? ORDER BY 1", [probe.name])
        numbers = [math.floor(float(str(at_s)) / 0.1 + 1e-3) for (at_s,) in times]
        assert numbers == sorted(set(numbers)), f"{probe.name}: none is taken twice"
        # How many a busy machine takes is another matter; those that it misses may lie before the first, too.
        missed = sum(int(str(event.fields["missed"])) for event in gaps(run, "end").get(probe.name, []))
        due = numbers[-1] - numbers[0] + 1
        assert len(numbers) + missed >= due, f"{probe.name}: every due tick is there or said to be missing"
    idle = "SELECT DISTINCT value FROM samples WHERE metric = 'pg_stat_activity_count' AND labels LIKE '%\"idle\"%'"
    assert run.query(idle) == [(10.0,)]


async def test_a_crash_of_the_server_is_a_gap_and_then_it_goes_on(
    probe_set: ProbeSet, crowd: Crowd, tmp_path: Path, origin: Origin
) -> None:
    session = await crowd.join()
    async with sampling(probe_set, tmp_path, origin, 0.1) as sampler:
        await until(sees(sampler, *BY_SQL))
        # What is in no checkpoint yet has to be recovered, so that nobody gets in for longer than a tick.
        admin = await crowd.join(superuser=True)
        await admin.execute("CREATE TABLE ballast (words text)")
        await admin.execute("INSERT INTO ballast SELECT repeat('x', 200) FROM generate_series(1, 400000)")
        os.kill(session.get_server_pid(), signal.SIGKILL)  # the postmaster then ends all sessions and recovers
        await until(sees_none(sampler, *BY_SQL))
        await until(sees(sampler, *BY_SQL))
    run = recorded(tmp_path)
    for name in BY_SQL:
        begins, ends = gaps(run, "begin")[name], gaps(run, "end")[name]
        assert len(begins) == len(ends) >= 1
        for begin, end in zip(begins, ends, strict=True):
            query = "SELECT count(*) FROM ticks WHERE probe = ? AND at_s >= ? AND at_s < ?"
            assert run.query(query, [name, begin.at_s, end.at_s]) == [(0,)], "nothing is repeated within a gap"
        after = run.query("SELECT count(*) FROM ticks WHERE probe = ? AND at_s >= ?", [name, ends[-1].at_s])
        assert after[0][0] >= 1
    seen = run.query("SELECT count(*) FROM ticks WHERE probe = 'harness'")[0][0]
    assert seen >= 1, "a probe that needs no server goes on"


async def test_a_session_that_hangs_is_a_gap_of_one_probe(
    probe_set: ProbeSet, crowd: Crowd, tmp_path: Path, origin: Origin
) -> None:
    watcher = await crowd.join(superuser=True)
    of_activity = "application_name = 'flashcrowd-probe' AND query ~ 'max_connections|client connections of'"
    query = f"SELECT pid FROM pg_stat_activity WHERE {of_activity}"
    async with sampling(probe_set, tmp_path, origin, 0.1) as sampler:
        await until(sees(sampler, *BY_SQL))
        [row] = await watcher.fetch(query)
        backend = psutil.Process(row["pid"])
        backend.suspend()
        try:
            await until(sees_none(sampler, "activity"))
            others = {name: sampler.latest[name].at_s for name in ("blocking", "database")}

            async def others_go_on() -> bool:
                return all(name in sampler.latest and sampler.latest[name].at_s > at_s for name, at_s in others.items())

            await until(others_go_on)
        finally:
            backend.resume()
        await until(sees(sampler, "activity"))
    run = recorded(tmp_path)
    assert gaps(run, "begin")["activity"][0].fields["reason"] in ("no answer within 1 s", "not begun in time")


async def test_a_server_that_dies_is_a_gap_to_the_end_and_holds_up_nothing(
    dataset: Dataset, tmp_path: Path, origin: Origin
) -> None:
    with EmbeddedStack.up(Topology(), dataset, scale=SCALE, seed=SEED, say=lambda line: None) as stack:
        async with all_probes(stack, tmp_path, origin) as probe_set:
            async with sampling(probe_set, tmp_path, origin, 0.1) as sampler:
                await until(sees(sampler, *BY_SQL, "usage"))
                os.kill(stack.postgres.postmaster_pid, signal.SIGKILL)
                await until(sees_none(sampler, *BY_SQL, "usage"))
            samples, events = SampleWriter(tmp_path), EventWriter(tmp_path)
            try:
                last = Sampler(probe_set.probes, samples, events, origin)
                # were the times for leaving and flushing waited out, the test would run into its time limit
                assert await final_reading(probe_set, last, leave_limit_s=600, flush_s=600) is None
            finally:
                samples.close()
                events.close()
            assert not {*BY_SQL, "usage"} & last.latest.keys()
            assert "harness" in last.latest
    run = recorded(tmp_path)
    assert "the server's main process has ended" in str(gaps(run, "begin")["usage"][-1].fields["reason"])
    assert gaps(run, "begin").keys() == gaps(run, "end").keys()

"""Replicas that fall behind, conflict, hang and die, against what the servers and a clock say themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import numpy as np
import pytest

from harness.clock import Origin
from harness.model import Dataset, PostgresServer, Sample, Topology
from harness.probes.probing import probing
from harness.probes.replicas import ReplicaProbes
from harness.probes.sampler import Sampler
from harness.record import format as layout
from harness.record.points import points, split
from harness.record.reader import Run, read_events
from harness.record.writer import EventWriter, write_json
from harness.stack.embedded import EmbeddedStack
from harness.stack.postgres.endpoint import Endpoint
from tests.integration.conftest import SCALE, SEED
from tests.integration.probes.conftest import Connection, total, until

pytestmark = pytest.mark.server

FIRST, SECOND, THIRD = (f"postgres-replica-{number}" for number in (1, 2, 3))
LAG, BYTES = "pg_replication_lag_seconds", "flashcrowd_replication_lag_bytes"
INTERVAL_S = 0.2


@pytest.fixture(scope="module")
def shared(dataset: Dataset) -> Iterator[EmbeddedStack]:
    settings = {"max_standby_streaming_delay": "0"}  # a conflict is settled at once
    topology = Topology(postgres=PostgresServer(replicas=2, replica_settings=settings))
    with EmbeddedStack.up(topology, dataset, scale=SCALE, seed=SEED, say=lambda line: None) as running:
        yield running


@pytest.fixture
def stack(shared: EmbeddedStack) -> EmbeddedStack:
    """A primary with two replicas, as seeded."""
    shared.reset()
    return shared


@pytest.fixture
async def session(stack: EmbeddedStack) -> AsyncIterator[Callable[..., object]]:
    """Opens sessions of the superuser; they are closed after the test."""
    opened: list[Connection] = []

    async def open_one(endpoint: Endpoint) -> Connection:
        opened.append(await asyncpg.connect(endpoint.dsn()))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.terminate()


class Sampled:
    """The probes of a stack's replicas."""

    def __init__(self, replicas: ReplicaProbes) -> None:
        self.replicas = replicas
        self.by_name: dict[str, object] = {}

    async def join(self) -> tuple[str, ...]:
        joined = await self.replicas.join()
        self.by_name |= {probe.name: probe for probe in joined.probes}
        return joined.notes

    async def of(self, name: str) -> Sequence[Sample]:
        return await self.by_name[name].sample(1.0)  # type: ignore[attr-defined]

    async def value(self, name: str, metric: str, **labels: str) -> float:
        return total(await self.of(name), metric, server=name, **labels)


@pytest.fixture
async def sampled(stack: EmbeddedStack) -> AsyncIterator[Sampled]:
    replicas = ReplicaProbes(stack)
    found = Sampled(replicas)
    assert await found.join() == ()
    yield found
    await replicas.close()


def endpoint(stack: EmbeddedStack, name: str) -> Endpoint:
    [found] = [one for one in stack.replicas if one.name == name]
    return found


async def test_replicas_that_keep_up_have_no_lag(
    stack: EmbeddedStack, sampled: Sampled, session: Callable[..., object]
) -> None:
    assert list(sampled.by_name) == ["replication", FIRST, SECOND]
    reader = await session(endpoint(stack, SECOND))

    async def keeps_up() -> bool:
        return [await sampled.value(name, metric) for name in (FIRST, SECOND) for metric in (LAG, BYTES)] == [0] * 4

    await until(keeps_up)
    for name, connections in ((FIRST, 0), (SECOND, 1)):
        assert await sampled.value(name, "flashcrowd_wal_receiver_streaming") == 1
        assert await sampled.value(name, "flashcrowd_wal_replay_held") == 0
        assert await sampled.value(name, "flashcrowd_replica_connections") == connections
        heard_s = await sampled.value(name, "pg_stat_wal_receiver_last_msg_receipt_time")
        assert abs(heard_s - time.time()) < 30
    assert await reader.fetchval("SELECT pg_is_in_recovery()")


async def test_held_replay_shows_as_lag_in_bytes_and_seconds(
    stack: EmbeddedStack, sampled: Sampled, session: Callable[..., object]
) -> None:
    primary, replica = await session(stack.postgres), await session(endpoint(stack, FIRST))
    await primary.execute("CREATE TABLE grows AS SELECT 1 AS n")
    written_s = time.time()
    position = await primary.fetchval("SELECT pg_current_wal_flush_lsn()")
    await until(lambda: replica.fetchval("SELECT pg_last_wal_replay_lsn() >= $1", position))
    await replica.execute("SELECT pg_wal_replay_pause()")
    await until(lambda: replica.fetchval("SELECT pg_get_wal_replay_pause_state() = 'paused'"))
    held = await replica.fetchval("SELECT (pg_last_wal_replay_lsn() - '0/0')::float8")
    newest = await replica.fetchval("SELECT extract(epoch FROM pg_last_xact_replay_timestamp())::float8")
    assert newest >= written_s - 0.1
    await primary.execute("INSERT INTO grows SELECT generate_series(1, 50000)")
    flushed = "SELECT (pg_current_wal_flush_lsn() - '0/0')::float8"
    lags = []
    for _ in range(3):
        before, asked_s = await primary.fetchval(flushed), time.time()
        samples = await sampled.of(FIRST)
        after, answered_s = await primary.fetchval(flushed), time.time()
        assert total(samples, "flashcrowd_wal_replay_held") == 1
        assert 2_000_000 < before - held <= total(samples, BYTES) <= after - held
        assert asked_s - newest - 0.01 <= total(samples, LAG) <= answered_s - newest + 0.01
        lags.append(total(samples, LAG))
        await sampled.of("replication")  # beats
        await asyncio.sleep(0.4)
    assert lags[2] - lags[0] > 0.8

    async def the_other_keeps_up() -> bool:
        return await sampled.value(SECOND, BYTES) < 20_000

    await until(the_other_keeps_up)
    known = await sampled.of("replication")
    assert total(known, "pg_stat_replication_pg_wal_lsn_diff", application_name=FIRST) > 2_000_000
    await replica.execute("SELECT pg_wal_replay_resume()")

    async def caught_up() -> bool:
        return await sampled.value(FIRST, LAG) == 0 and await sampled.value(FIRST, BYTES) == 0

    await until(caught_up)
    assert await replica.fetchval("SELECT count(*) FROM grows") == 50_001


async def test_lag_of_a_replica_that_is_cut_off_grows_although_the_primary_is_idle(
    stack: EmbeddedStack, sampled: Sampled, session: Callable[..., object]
) -> None:
    replica = await session(endpoint(stack, FIRST))

    async def keeps_up() -> bool:
        return await sampled.value(FIRST, LAG) == 0

    followed_s = time.monotonic()
    await sampled.of("replication")
    await until(keeps_up)
    await replica.execute("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'")
    await replica.execute("SELECT pg_reload_conf()")

    async def cut_off() -> bool:
        return await sampled.value(FIRST, "flashcrowd_wal_receiver_streaming") == 0

    await until(cut_off)
    cut_s, lags = time.monotonic(), []

    async def lacks_a_beat() -> bool:
        await sampled.of("replication")
        return await sampled.value(FIRST, LAG) > 0

    await until(lacks_a_beat)
    begun_s = time.monotonic()
    while time.monotonic() - begun_s < 1.5:
        await sampled.of("replication")  # beats: nobody else writes anything
        asked_s = time.monotonic()
        samples = await sampled.of(FIRST)
        lag_s = total(samples, LAG)
        assert asked_s - cut_s - 0.1 <= lag_s <= time.monotonic() - followed_s + 1.5, "one beat's time more or less"
        lags.append((asked_s, lag_s, total(samples, BYTES)))
        await asyncio.sleep(0.25)
    (first_s, first_lag_s, first_bytes), (last_s, last_lag_s, last_bytes) = lags[0], lags[-1]
    assert last_lag_s - first_lag_s > last_s - first_s - 0.5 > 0.4, "it grows with the time"
    assert last_bytes > first_bytes >= 0

    async def the_other_keeps_up() -> bool:
        return await sampled.value(SECOND, LAG) < 1.5

    await until(the_other_keeps_up)
    await replica.execute("ALTER SYSTEM RESET primary_conninfo")
    await replica.execute("SELECT pg_reload_conf()")

    await until(keeps_up)


async def test_a_statement_that_holds_replay_up_is_cancelled_and_counted(
    stack: EmbeddedStack, sampled: Sampled, session: Callable[..., object]
) -> None:
    primary, reader = await session(stack.postgres), await session(endpoint(stack, FIRST))
    asks = await session(endpoint(stack, FIRST))
    assert await sampled.value(FIRST, "pg_stat_database_conflicts") == 0
    asleep = asyncio.ensure_future(reader.execute("SELECT pg_sleep(30), count(*) FROM crafts"))
    running = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'crafts'::regclass AND pid = $1"
    await until(lambda: asks.fetchval(running, reader.get_server_pid()))
    await primary.execute("TRUNCATE crafts")
    with pytest.raises(asyncpg.PostgresError) as caught:
        await asleep
    assert caught.value.sqlstate == "40001"
    await reader.close()  # which adds to the statistics what it went through

    async def counted() -> bool:
        return await sampled.value(FIRST, "pg_stat_database_conflicts_confl_lock") == 1

    await until(counted)
    assert await asks.fetchval("SELECT confl_lock FROM pg_stat_database_conflicts WHERE datname = 'crowd'") == 1
    assert await sampled.value(FIRST, "pg_stat_database_conflicts") == 1
    assert await sampled.value(SECOND, "pg_stat_database_conflicts") == 0


async def test_what_a_paused_primary_has_is_not_measured_and_its_replicas_grow_old(
    stack: EmbeddedStack, sampled: Sampled
) -> None:
    await sampled.of("replication")
    before_s = await sampled.value(FIRST, LAG)
    stack.servers["postgres"].pause()
    try:
        lags = []
        for _ in range(3):
            samples = await sampled.of(FIRST)
            assert BYTES not in {sample.metric for sample in samples}
            lags.append(total(samples, LAG))
        assert before_s < lags[0] < lags[1] < lags[2]
    finally:
        stack.servers["postgres"].resume()

    async def back() -> bool:
        return await sampled.value(FIRST, LAG) == 0 and await sampled.value(FIRST, BYTES) == 0

    await until(back)


async def test_the_heartbeat_leaves_nothing(stack: EmbeddedStack, session: Callable[..., object]) -> None:
    primary = await session(stack.postgres)
    replicas = ReplicaProbes(stack)
    schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'flashcrowd'"
    tables = "SELECT count(*) FROM pg_stat_user_tables"
    before = await primary.fetchval(tables)
    await replicas.join()
    assert await primary.fetchval(schemas) == 1
    assert await primary.fetchval(tables) == before + 1
    statements = "SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%heartbeat%' AND query NOT LIKE '%pg_stat%'"
    assert await primary.fetchval(statements) == 0
    await replicas.close()
    assert await primary.fetchval(schemas) == 0
    assert await primary.fetchval(tables) == before


async def test_what_a_role_is_not_shown_is_not_measured_and_the_rest_is(stack: EmbeddedStack) -> None:
    class Ordinary:
        """The same stack, seen by a role that may read and write the tables and nothing else."""

        postgres = replace(stack.postgres, user=stack.postgres.application_user)
        replicas = tuple(replace(one, user=one.application_user) for one in stack.replicas)

    probes = ReplicaProbes(Ordinary())  # type: ignore[arg-type]
    joined = await probes.join()
    try:
        [note] = joined.notes
        assert "no heartbeat" in note
        assert "GRANT CREATE ON DATABASE" in note
        of_all, of_first, _ = joined.probes
        assert list(await of_all.sample(1.0)) == []
        samples = await of_first.sample(1.0)
        assert total(samples, LAG, server=FIRST) >= 0
        assert total(samples, BYTES, server=FIRST) >= 0
        hidden = {"flashcrowd_replica_connections", "flashcrowd_wal_receiver_streaming"}
        assert not hidden & {sample.metric for sample in samples}
    finally:
        await probes.close()


@asynccontextmanager
async def run_of(stack: EmbeddedStack, folder: Path) -> AsyncIterator[tuple[Origin, Sampler]]:
    """A run without load."""
    origin = Origin.after(0)
    events = EventWriter(folder)
    try:
        async with probing(stack, folder, events, origin, INTERVAL_S) as running:
            await running.begin()
            yield origin, running.sampler
            await running.end()
    finally:
        events.close()
    write_json(folder / layout.RUN, {"format": layout.VERSION, "interval_s": INTERVAL_S})


async def test_a_dead_replica_and_one_that_hangs_are_gaps_and_the_other_is_the_worst(
    stack: EmbeddedStack, tmp_path: Path
) -> None:
    def gaps(edge: str) -> set[object]:
        return {
            event.fields["probe"]
            for event in read_events(tmp_path / "events.jsonl")
            if event.kind == "gap"
            and event.fields["edge"] == edge
            and str(event.fields["probe"]).startswith("postgres-")
        }

    async def gap(edge: str, *names: str) -> None:
        async def told() -> bool:
            return gaps(edge) >= set(names)

        await until(told)

    async with run_of(stack, tmp_path) as (origin, sampler):

        async def sampled_after(at_s: float, *names: str) -> None:
            async def sampled() -> bool:
                return all(name in sampler.latest and sampler.latest[name].at_s > at_s for name in names)

            await until(sampled)

        await sampled_after(0, FIRST, SECOND)
        stack.servers[FIRST].kill()
        await gap("begin", FIRST)
        died_s = origin.at_s()
        stack.servers[SECOND].pause()
        await gap("begin", SECOND)
        resumed_s = origin.at_s()
        stack.servers[SECOND].resume()
        await gap("end", SECOND)
        for _ in range(2):
            await sampled_after(origin.at_s(), SECOND)
        back_s = origin.at_s()
        await asyncio.to_thread(stack.servers[FIRST].start)
        await gap("end", FIRST)
        await sampled_after(back_s, FIRST, SECOND)
    run = Run(tmp_path)
    try:
        by_server = {labels["server"]: found for labels, found in split(run, "replica.lag")}
        assert set(by_server) == {FIRST, SECOND}
        away = by_server[FIRST].at_s[by_server[FIRST].at_s > died_s]
        assert len(away) and away[0] > resumed_s, "nothing stands for what was not measured"
        second = by_server[SECOND]
        alone = (second.at_s > resumed_s) & (second.at_s < away[0] - INTERVAL_S / 2)
        assert alone.any()
        worst = points(run, "replica.lag")
        by_tick = dict(zip(np.round(worst.at_s / INTERVAL_S), worst.value, strict=True))
        found = [by_tick.get(number) for number in np.round(second.at_s[alone] / INTERVAL_S)]
        assert found == list(second.value[alone]), "the one that was there is the worst"
    finally:
        run.db.close()


async def test_a_replica_that_joins_during_a_run_is_sampled(stack: EmbeddedStack, tmp_path: Path) -> None:
    async with run_of(stack, tmp_path):
        await asyncio.to_thread(stack.add_replica)
        samples = tmp_path / "samples.jsonl"

        async def sampled() -> bool:
            return any(
                "flashcrowd_replica_connections" in line and THIRD in line for line in samples.read_text().splitlines()
            )

        await until(sampled)
    run = Run(tmp_path)
    try:
        assert {labels["server"] for labels, _ in split(run, "replica.connections")} == {FIRST, SECOND, THIRD}
    finally:
        run.db.close()

"""Sessions that misbehave on a real server, and the probes that watch them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest

from harness.clock import Origin
from harness.model import Sample
from harness.probes import ProbeSet, all_probes
from harness.probes.probe import Probe
from harness.probes.probe_set import PostgresProbes
from harness.stack.embedded import EmbeddedStack
from harness.stack.postgres.endpoint import Endpoint

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass
class Crowd:
    """Opens sessions and ends them all after the test."""

    endpoint: Endpoint
    sessions: list[Connection] = field(default_factory=list)
    running: list[asyncio.Task[object]] = field(default_factory=list)

    async def lay_out(self) -> None:
        """Make the table that they quarrel over, ``counters``."""
        admin = await self.join(superuser=True)
        await admin.execute(
            "CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL); INSERT INTO counters SELECT i, 0 FROM generate_series(1, 10) i;"
            f'GRANT ALL ON counters TO "{self.endpoint.application_user}"'
        )
        await admin.close()
        self.sessions.clear()

    async def join(self, *, superuser: bool = False) -> Connection:
        """One more session, of an ordinary role unless told otherwise."""
        user = self.endpoint.user if superuser else self.endpoint.application_user
        session = await asyncpg.connect(self.endpoint.dsn(user=user))
        self.sessions.append(session)
        return session

    def start(self, what: Awaitable[object]) -> asyncio.Task[object]:
        """Let something run beside the test."""
        task = asyncio.ensure_future(what)
        self.running.append(task)
        return task

    async def leave(self) -> None:
        """End all sessions and what they were doing."""
        for session in self.sessions:
            session.terminate()
        for task in self.running:
            task.cancel()
            with suppress(asyncio.CancelledError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await task


@pytest.fixture
async def crowd(postgres: Endpoint) -> AsyncIterator[Crowd]:
    """Sessions on the server, beside a table ``counters`` of two columns and ten rows."""
    made = Crowd(postgres)
    await made.lay_out()
    yield made
    await made.leave()


@pytest.fixture
def origin() -> Origin:
    """The origin of a run that begins now."""
    return Origin.after(0)


@pytest.fixture
async def probe_set(crowd: Crowd, stack: EmbeddedStack, tmp_path: Path, origin: Origin) -> AsyncIterator[ProbeSet]:
    """The server's probes, with ``tmp_path`` as run folder."""
    async with all_probes(stack, tmp_path, origin) as probes:
        yield probes


def of_postgres(probe_set: ProbeSet) -> PostgresProbes:
    """The probes of the primary."""
    assert probe_set.postgres is not None
    return probe_set.postgres


def probe(probe_set: ProbeSet, name: str) -> Probe:
    """The probe of that name."""
    [found] = [one for one in probe_set.probes if one.name == name]
    return found


def total(samples: Sequence[Sample], metric: str, **labels: str) -> float:
    """Sum of a metric's samples with these labels; the metric must be there."""
    values = [
        sample.value
        for sample in samples
        if sample.metric == metric and all(sample.labels.get(key) == value for key, value in labels.items())
    ]
    assert values, f"{metric} was not measured; there are {sorted({sample.metric for sample in samples})}"
    return sum(values)


async def until(condition: Callable[[], Awaitable[bool]], limit_s: float = 90.0) -> None:
    """Wait for something to come true."""
    async with asyncio.timeout(limit_s):
        while not await condition():
            await asyncio.sleep(0.02)


async def until_waiting(watcher: Connection, *pids: int) -> None:
    """Wait until these sessions wait for a lock."""

    async def all_wait() -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1) AND wait_event_type = 'Lock'"
        return bool(await watcher.fetchval(query, list(pids)) == len(pids))

    await until(all_wait)


async def deadlock(first: Connection, second: Connection) -> tuple[asyncpg.DeadlockDetectedError, int]:
    """Let two sessions wait for each other; returns what the one that lost was told, and its process."""
    begun = [first.transaction(), second.transaction()]
    for transaction in begun:
        await transaction.start()
    await first.execute("UPDATE counters SET n = n + 1 WHERE id = 1")
    await second.execute("UPDATE counters SET n = n + 1 WHERE id = 2")
    found = await asyncio.gather(
        first.execute("UPDATE counters SET n = n + 1 -- first\n WHERE id = 2"),
        second.execute("UPDATE counters SET n = n + 1 -- second\n WHERE id = 1"),
        return_exceptions=True,
    )
    for transaction in begun:
        await transaction.rollback()
    [(error, loser)] = [
        (one, session)
        for one, session in zip(found, (first, second), strict=True)
        if isinstance(one, asyncpg.DeadlockDetectedError)
    ]
    return error, loser.get_server_pid()

"""All probes of one server, opened before the load and closed on every path; and the reading after the load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.clock import Origin
from harness.probes.activity import ActivityProbe
from harness.probes.blocking import BlockingProbe
from harness.probes.connection import STATEMENT_TIMEOUT_S, ProbeConnection, sql
from harness.probes.database import DatabaseProbe
from harness.probes.deadlocks import DeadlockProbe
from harness.probes.harness import HarnessProbe
from harness.probes.probe import FAILURES, Probe
from harness.probes.process import ProcessProbe
from harness.probes.sampler import Sampler
from harness.stack.postgres import Endpoint

JSONLOG_SINCE = 150000
#: Statistics of the whole database and reading pg_stat_statements may take longer than a tick.
ADMIN_TIMEOUT_S = 30.0
LEAVE_LIMIT_S = 10.0  # how long closed connections may take to leave: one in the middle of a rollback takes a moment
#: A session that stays adds what it did at most 10 s after its last transaction (PGSTAT_IDLE_INTERVAL), and a second for luck.
FLUSH_S = 11.0
_LOOK_AGAIN_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSet:
    """The probes of a server.

    :param deadlocks: the one of ``probes`` that follows the log; None where the server writes no JSON log
    :param connection: for pg_stat_statements and whatever else is asked once; no probe uses it
    :param notes: what is not measured on this server, and why
    """

    probes: tuple[Probe, ...]
    deadlocks: DeadlockProbe | None
    connection: ProbeConnection
    notes: tuple[str, ...] = ()


@asynccontextmanager
async def all_probes(endpoint: Endpoint, folder: Path, origin: Origin) -> AsyncIterator[ProbeSet]:
    """The probes of a server, connected; to be entered before the load begins, since nobody gets into a full server.

    They hold four connections, of those that are reserved for superusers once the others are taken.

    :param folder: the run folder, which gets ``blocking.jsonl`` and ``deadlocks.jsonl``
    :raises OSError: the server cannot be reached; :class:`asyncpg.PostgresError` where it refuses
    """
    async with AsyncExitStack() as closing:
        limits_s = (STATEMENT_TIMEOUT_S, STATEMENT_TIMEOUT_S, STATEMENT_TIMEOUT_S, ADMIN_TIMEOUT_S)
        connections = [ProbeConnection(endpoint.dsn(), statement_timeout_s=limit_s) for limit_s in limits_s]
        for connection in connections:
            closing.push_async_callback(connection.close)
            await connection.open()
        activity, blocking, database, admin = connections
        probes: list[Probe] = [
            ActivityProbe(activity),
            BlockingProbe(blocking, folder),
            DatabaseProbe(database),
            ProcessProbe(endpoint.postmaster_pid, endpoint.cpus),
            HarnessProbe(),
        ]
        deadlocks: DeadlockProbe | None = None
        notes: tuple[str, ...] = ()
        if endpoint.version_num >= JSONLOG_SINCE:
            deadlocks = DeadlockProbe(endpoint.log_folder, endpoint.database, folder, origin)
            probes.append(deadlocks)
        else:
            notes = (
                f"PostgreSQL {endpoint.version} writes no JSON log (15 and later do): "
                "deadlocks are counted by client and server only, and their reports are not shown",
            )
        for probe in probes:
            closing.push_async_callback(probe.close)
        yield ProbeSet(probes=tuple(probes), deadlocks=deadlocks, connection=admin, notes=notes)


async def final_reading(
    probe_set: ProbeSet, sampler: Sampler, *, leave_limit_s: float = LEAVE_LIMIT_S, flush_s: float = FLUSH_S
) -> bool | None:
    """The last tick of every probe, taken when the server's lagging counters are final. After :meth:`Sampler.run` has ended
    and the load has closed its connections.

    Sessions add what they did when they end, so the counters are final once all have left. Where some stay, or cannot
    be counted, the time after which idle ones add it too is waited out.

    :returns: whether all sessions had left; None if the server could not be asked
    """
    left: bool | None = None
    with suppress(*FAILURES):  # the server is gone: there is nothing to wait for, and the tick below makes it a gap
        left = await _all_left(probe_set.connection, leave_limit_s)
        if not left:
            await asyncio.sleep(flush_s)
        if probe_set.deadlocks is not None:
            await probe_set.deadlocks.catch_up(probe_set.connection)
    await sampler.once()
    return left


async def _all_left(connection: ProbeConnection, limit_s: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while await connection.value(sql("clients")):
                await asyncio.sleep(_LOOK_AGAIN_S)
            return True
    return False

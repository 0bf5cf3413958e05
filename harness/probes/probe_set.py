"""All probes of a stack, opened before the load and closed on every path; and the reading after the load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.clock import Origin
from harness.probes.activity import ActivityProbe
from harness.probes.blocking import BlockingProbe
from harness.probes.connection import STATEMENT_TIMEOUT_S, ProbeConnection, sql
from harness.probes.core_times import CoreTimes
from harness.probes.database import DatabaseProbe
from harness.probes.deadlocks import DeadlockProbe
from harness.probes.harness import HarnessProbe
from harness.probes.mongo import MongoProbes, mongo_probes
from harness.probes.probe import FAILURES, Probe
from harness.probes.replicas import ReplicaProbes
from harness.probes.sampler import Sampler
from harness.probes.services import ServiceProbe
from harness.probes.usage import Footprints, UsageProbe
from harness.stack.external import addresses as external_addresses
from harness.stack.external import exporters
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.stack import Footprint, Stack

JSONLOG_SINCE = 150000
#: Statistics of the whole database and reading pg_stat_statements may take longer than a tick.
ADMIN_TIMEOUT_S = 30.0
LEAVE_LIMIT_S = 10.0  # how long closed connections may take to leave: one in the middle of a rollback takes a moment
#: A session that stays adds what it did at most 10 s after its last transaction (PGSTAT_IDLE_INTERVAL), and a second for luck.
FLUSH_S = 11.0
#: Up to 14 a process gathers what sessions tell it and hands on figures that are up to half a second old
#: (PGSTAT_STAT_INTERVAL); twice that, since what it is told last has a way to go too.
GATHERED_S = 1.0
SHARED_SINCE = 150000
_LOOK_AGAIN_S = 0.05
_VERSION = "SELECT current_setting('server_version_num')::int"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresProbes:
    """The probes of a PostgreSQL primary.

    :param deadlocks: the one of ``probes`` that follows the log; None where the server writes no JSON log
    :param connection: for pg_stat_statements and whatever else is asked once; no probe uses it
    :param notes: what is not measured on this server, and why
    """

    probes: tuple[Probe, ...]
    deadlocks: DeadlockProbe | None
    connection: ProbeConnection
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSet:
    """The probes of a stack.

    :param probes: all of them
    :param postgres: those of the primary; None: there is none
    :param replicas: where those of replicas that join later come from
    :param notes: what is not measured, and why
    """

    probes: tuple[Probe, ...]
    postgres: PostgresProbes | None
    replicas: ReplicaProbes
    notes: tuple[str, ...] = ()


@asynccontextmanager
async def all_probes(stack: Stack, folder: Path, origin: Origin) -> AsyncIterator[ProbeSet]:
    """The probes of a stack, connected; to be entered before the load begins, since nobody gets into a full server.

    :param folder: the run folder, which gets ``blocking.jsonl``, ``deadlocks.jsonl`` and ``slow_operations.jsonl``
    :raises OSError: a server cannot be reached; :class:`asyncpg.PostgresError` where it refuses
    :raises StackError: no member of the replica set answers
    """
    async with AsyncExitStack() as closing:
        usage = UsageProbe(
            lambda: footprints(stack),
            lambda: None if mongo is None else mongo.replication.primary,
            CoreTimes(stack.load_cores),
        )
        probes: list[Probe] = [HarnessProbe(), usage]
        notes: list[str] = []
        postgres: PostgresProbes | None = None
        mongo: MongoProbes | None = None
        if stack.postgres is not None:
            postgres = await closing.enter_async_context(postgres_probes(stack.postgres, folder, origin))
            probes += postgres.probes
            notes += postgres.notes
        replicas = ReplicaProbes(stack)
        closing.push_async_callback(replicas.close)
        joined = await replicas.join()
        probes += joined.probes
        notes += joined.notes
        if stack.mongo is not None:
            mongo = await closing.enter_async_context(mongo_probes(stack.mongo, folder, origin))
            probes += mongo.probes
            notes += mongo.notes
        if stack.services:
            probes.append(ServiceProbe(stack))
        probes += _exporters(stack, origin)
        yield ProbeSet(probes=tuple(probes), postgres=postgres, replicas=replicas, notes=tuple(notes))


def _exporters(stack: Stack, origin: Origin) -> list[Probe]:
    """Where the CPU of servers is asked for that cannot be read here, as far as the user named anything."""
    unread = [name for name, server in stack.servers.items() if server.footprint() is None]
    if not unread:
        return []
    from harness.probes.prometheus_source import PrometheusProbe  # servers of ours have no use for a parser

    return [PrometheusProbe(source, origin) for source in exporters.parse(external_addresses.read().prometheus, unread)]


def footprints(stack: Stack) -> Footprints:
    """How to ask where CPU and memory of each server are read now."""
    found = {name: server.footprint for name, server in stack.servers.items()}
    main = stack.postgres
    if main is not None and main.name not in found and main.postmaster_pid is not None:
        found[main.name] = partial(Footprint, pid=main.postmaster_pid, confined=False, cpus=main.cpus)
    return found


@asynccontextmanager
async def postgres_probes(endpoint: Endpoint, folder: Path, origin: Origin) -> AsyncIterator[PostgresProbes]:
    """The probes of a PostgreSQL primary, connected.

    They hold four connections, of those that are reserved for superusers once the others are taken.

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
        ]
        deadlocks: DeadlockProbe | None = None
        notes: tuple[str, ...] = ()
        if endpoint.log_folder is None:
            notes = ("the server's log cannot be read here: deadlocks are counted by client and server only",)
        elif endpoint.version_num >= JSONLOG_SINCE:
            deadlocks = DeadlockProbe(endpoint.log_folder, endpoint.database, folder, origin)
            probes.append(deadlocks)
        else:
            notes = (
                f"PostgreSQL {endpoint.version} writes no JSON log (15 and later do): "
                "deadlocks are counted by client and server only, and their reports are not shown",
            )
        for probe in probes:
            closing.push_async_callback(probe.close)
        yield PostgresProbes(probes=tuple(probes), deadlocks=deadlocks, connection=admin, notes=notes)


async def final_reading(
    probe_set: ProbeSet, sampler: Sampler, *, leave_limit_s: float = LEAVE_LIMIT_S, flush_s: float = FLUSH_S
) -> bool | None:
    """The last tick of every probe, taken when the server's lagging counters are final. After :meth:`Sampler.run` has ended
    and the load has closed its connections.

    Sessions add what they did when they end, so the counters are final once all have left. Where some stay, or cannot
    be counted, the time after which idle ones add it too is waited out.

    :returns: whether all sessions had left; None if the server could not be asked
    """
    postgres = probe_set.postgres
    if postgres is None:
        await sampler.once()
        return True
    left: bool | None = None
    with suppress(*FAILURES):  # the server is gone: there is nothing to wait for, and the tick below makes it a gap
        left = await _all_left(postgres.connection, leave_limit_s)
        if not left:
            await asyncio.sleep(flush_s)
        if await postgres.connection.value(_VERSION) < SHARED_SINCE:
            await asyncio.sleep(GATHERED_S)
        if postgres.deadlocks is not None:
            await postgres.deadlocks.catch_up(postgres.connection)
    await sampler.once()
    return left


async def _all_left(connection: ProbeConnection, limit_s: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while await connection.value(sql("clients")):
                await asyncio.sleep(_LOOK_AGAIN_S)
            return True
    return False

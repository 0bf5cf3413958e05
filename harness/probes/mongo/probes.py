"""All probes of a replica set, connected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pymongo.errors import OperationFailure, PyMongoError

from harness.clock import Origin
from harness.errors import StackError
from harness.probes.mongo.connection import UNAUTHORIZED, MemberConnection
from harness.probes.mongo.member import MemberProbe
from harness.probes.mongo.replication import ReplicationProbe
from harness.probes.mongo.slowlog import SlowLogProbe
from harness.probes.probe import Probe
from harness.stack.mongo.members import ReplicaSet


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoProbes:
    """The probes of a replica set.

    :param replication: the one that knows which member is the primary
    :param notes: what is not measured here, and why
    """

    probes: tuple[Probe, ...]
    replication: ReplicationProbe
    notes: tuple[str, ...] = ()


@asynccontextmanager
async def mongo_probes(replica_set: ReplicaSet, folder: Path, origin: Origin) -> AsyncIterator[MongoProbes]:
    """The probes of a replica set, connected; to be entered before the load begins.

    They hold up to four connections to each member.

    :param folder: the run folder, which gets ``slow_operations.jsonl``
    :raises StackError: no member answers
    """
    async with AsyncExitStack() as closing:
        connections = [MemberConnection(replica_set, member) for member in replica_set.members]
        for connection in connections:
            closing.push_async_callback(connection.close)
        await _see_that_one_answers(replica_set, connections)
        replication = ReplicationProbe(connections)
        asking: list[Probe] = [*(MemberProbe(one) for one in connections), replication]
        notes: list[str] = []
        probes: list[Probe] = []
        for probe in asking:
            closing.push_async_callback(probe.close)
            if await _may(probe):
                probes.append(probe)
            else:
                notes.append(
                    f"{probe.name} is not measured: user {replica_set.user} may not ask for it; grant clusterMonitor on admin"
                )
        if (why := await replication.why_no_heartbeat()) is not None:
            notes.append(f"user {replica_set.user} {why}")
        logs = {member.name: member.log_file for member in replica_set.members if member.log_file is not None}
        if logs:
            log = SlowLogProbe(logs, folder, origin)
            closing.push_async_callback(log.close)
            probes.append(log)
        unread = [member.name for member in replica_set.members if member.log_file is None]
        if unread:
            notes.append(f"the log of {', '.join(unread)} cannot be read here: slow operations there are not counted")
        yield MongoProbes(probes=tuple(probes), replication=replication, notes=tuple(notes))


async def _see_that_one_answers(replica_set: ReplicaSet, connections: Sequence[MemberConnection]) -> None:
    """Connect to every member; one that is down is a gap of its own later on."""
    asked = await asyncio.gather(*(one.command({"ping": 1}) for one in connections), return_exceptions=True)
    failures = [one for one in asked if isinstance(one, BaseException)]
    for failure in failures:
        if not isinstance(failure, PyMongoError | OSError):
            raise failure
    if len(failures) == len(connections):
        where = ", ".join(f"{member.host}:{member.port}" for member in replica_set.members)
        raise StackError(
            f"no member of the replica set {replica_set.name} answers the probes ({where}): {failures[0]}"
        ) from failures[0]


async def _may(probe: Probe) -> bool:
    """Whether the user's privileges suffice; whatever else fails is for the sampler to tell."""
    try:
        await probe.sample(0.0)
    except OperationFailure as error:
        return error.code != UNAUTHORIZED
    except Exception:
        return True
    return True

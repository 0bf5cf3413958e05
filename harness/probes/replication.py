"""How far replicas are behind the primary, asked of each replica itself: the primary knows only what it was told, and nothing
of one that is cut off from it.

Lag is 0 where a replica has replayed all that the primary had when it was asked a moment before, else the age of the newest
commit that it has replayed, by the primary's clock. While the primary does not answer, it is that age in any case: nobody
knows then whether there is anything newer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import asyncpg

from harness.model import Labels, Sample
from harness.probes.connection import ProbeConnection, sql
from harness.probes.primary_log import NEWEST_BEAT, PrimaryLog
from harness.probes.probe import Unmeasured
from harness.stack.postgres.endpoint import Endpoint

#: What was written as we asked is on its way: a replica that keeps up has replayed it after this.
ON_ITS_WAY_S = 0.02


class ReplicationProbe:
    """The replicas as the primary knows them; also beats."""

    name = "replication"

    def __init__(self, log: PrimaryLog) -> None:
        self._log = log

    async def sample(self, at_s: float) -> list[Sample]:
        """``pg_stat_replication_pg_wal_lsn_diff`` and ``pg_stat_replication_replay_lag`` by ``application_name`` and ``state``."""
        rows = await self._log.connection.fetch(sql("replication"))
        await self._log.beat()
        return [
            Sample(
                at_s=at_s,
                metric=f"pg_stat_replication_{column}",
                value=row[column],
                labels={"application_name": row["application_name"], "state": row["state"]},
            )
            for row in rows
            if row["state"] is not None  # else it is not shown to this role
            for column in ("pg_wal_lsn_diff", "replay_lag")
            if row[column] is not None
        ]

    async def close(self) -> None:
        """Close the primary's log."""
        await self._log.close()


class ReplicaProbe:
    """One replica; its samples bear its name as ``server``, as postgres_exporter has it."""

    def __init__(self, endpoint: Endpoint, log: PrimaryLog) -> None:
        self.name = endpoint.name
        self._log = log
        self._connection = ProbeConnection(endpoint.dsn())

    async def open(self) -> None:
        """Connect.

        :raises OSError: the server cannot be reached; :class:`asyncpg.PostgresError` where it refuses
        """
        await self._connection.open()

    async def sample(self, at_s: float) -> list[Sample]:
        """``pg_replication_lag_seconds``, ``flashcrowd_replication_lag_bytes`` (absent while the primary does not answer),
        ``pg_stat_wal_receiver_*``, ``pg_stat_database_conflicts_*``, connections, and whether replay is held.

        :raises Unmeasured: it has replayed no commit, so nobody knows how old what it shows is
        :raises asyncpg.PostgresError: it refuses, as one does that was promoted: it is no replica any more
        """
        primary = await self._log.position()
        asked_s = time.monotonic()
        [row] = await self._connection.fetch(sql("replica"))
        newest_s = await self._newest_s(row)
        behind = None if primary is None else max(0, primary - row["replayed"])
        lag_s = 0.0 if behind == 0 else newest_s
        if behind:
            await asyncio.sleep(ON_ITS_WAY_S)
            [again] = await self._connection.fetch(sql("replica"))
            if primary is not None and again["replayed"] >= primary:
                waited_s = time.monotonic() - asked_s
                lag_s = waited_s if newest_s is None else min(newest_s, waited_s)
        if lag_s is None:
            raise Unmeasured("it has replayed nothing since it started")
        values = {
            "pg_replication_lag_seconds": lag_s,
            "flashcrowd_wal_replay_held": float(row["paused"]),
        }
        if row["connections"] is not None:
            values["flashcrowd_replica_connections"] = float(row["connections"])
        if behind is not None:
            values["flashcrowd_replication_lag_bytes"] = float(behind)
        labels = {"server": self.name}
        samples = [Sample(at_s=at_s, metric=metric, value=value, labels=labels) for metric, value in values.items()]
        return [*samples, *await self._receiver(at_s, labels), *await self._conflicts(at_s, labels)]

    async def close(self) -> None:
        """Close its connection."""
        await self._connection.close()

    async def _newest_s(self, row: asyncpg.Record) -> float | None:
        """Age of the newest commit that it has replayed: of any since it started, or else of a heartbeat before."""
        try:
            beat_s: float | None = await self._connection.value(NEWEST_BEAT)
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            beat_s = None  # the table's making is not replayed yet, or there is no heartbeat
        ages = [max(0.0, age_s) for age_s in (row["newest_s"], beat_s) if age_s is not None]
        return min(ages, default=None)

    async def _receiver(self, at_s: float, labels: Labels) -> Iterator[Sample]:
        rows = await self._connection.fetch(sql("receiver"))
        if any(row["status"] is None for row in rows):
            return iter(())  # not shown to this role
        streams = any(row["status"] == "streaming" for row in rows)
        found = {"flashcrowd_wal_receiver_streaming": float(streams)}
        for row in rows:
            if row["last_msg_receipt_time"] is not None:
                found["pg_stat_wal_receiver_last_msg_receipt_time"] = row["last_msg_receipt_time"]
        return (Sample(at_s=at_s, metric=metric, value=value, labels=labels) for metric, value in found.items())

    async def _conflicts(self, at_s: float, labels: Labels) -> Iterator[Sample]:
        rows = await self._connection.fetch(sql("conflicts"))
        return (
            Sample(
                at_s=at_s,
                metric="pg_stat_database_" + ("conflicts" if column == "conflicts" else f"conflicts_{column}"),
                value=float(value),
                labels={**labels, "datid": str(row["datid"]), "datname": row["datname"]},
            )
            for row in rows
            for column, value in row.items()
            if isinstance(value, int) and column != "datid"
        )

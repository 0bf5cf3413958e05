"""The server's own counters: the database's, and the write-ahead log's, the checkpoints' and the I/O of the whole server.

The views differ between PostgreSQL 14 and 18, so each is read whole and every number in it becomes a sample: what a version
does not have is absent, never 0. Names are those of postgres_exporter, which leaves milliseconds in some of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

import asyncpg

from harness.model import Labels, Sample
from harness.probes.connection import ProbeConnection, sql

#: Backends report their I/O at most once a second: asking more often costs and shows nothing.
IO_EVERY_S = 0.95
_IO_LABELS = ("backend_type", "object", "context")
_NOT_COUNTERS = ("datid", "op_bytes")


class DatabaseProbe:
    """Counters of the endpoint's database and server; they lag, see ``sql/database.sql``."""

    name = "database"

    def __init__(self, connection: ProbeConnection) -> None:
        self._connection = connection
        self._version: int | None = None
        self._io_s = float("-inf")

    async def sample(self, at_s: float) -> list[Sample]:
        """``pg_stat_database_*``, ``pg_stat_wal_*``, ``pg_stat_bgwriter_*``, ``pg_stat_checkpointer_*``, ``pg_stat_io_*``."""
        if self._version is None:
            self._version = await self._connection.value("SELECT current_setting('server_version_num')::int")
        samples: list[Sample] = []
        for row in await self._connection.fetch(sql("database")):
            labels = {"datid": str(row["datid"]), "datname": str(row["datname"])}
            samples += _counters(at_s, row, "pg_stat_database_{}", labels)
        samples += await self._server_wide(at_s, "wal", "pg_stat_wal_{}")
        samples += await self._server_wide(at_s, "bgwriter", "pg_stat_bgwriter_{}_total")
        if self._version >= 170000:
            samples += await self._server_wide(at_s, "checkpointer", "pg_stat_checkpointer_{}_total")
        if self._version >= 160000 and at_s - self._io_s >= IO_EVERY_S:
            samples += _io(at_s, await self._connection.fetch(sql("io")))
            self._io_s = at_s
        return samples

    async def close(self) -> None:
        """Close its connection."""
        await self._connection.close()

    async def _server_wide(self, at_s: float, statement: str, metric: str) -> list[Sample]:
        rows = await self._connection.fetch(sql(statement))
        return [sample for row in rows for sample in _counters(at_s, row, metric, {})]


def _counters(at_s: float, row: asyncpg.Record, metric: str, labels: Labels) -> Iterator[Sample]:
    for column, value in row.items():
        if column not in _NOT_COUNTERS and isinstance(value, int | float | Decimal):
            yield Sample(
                at_s=at_s, metric=metric.format(column.removeprefix("wal_")), value=float(value), labels=labels
            )


def _io(at_s: float, rows: list[asyncpg.Record]) -> Iterator[Sample]:
    """One sample per type of backend, kind of object and counter; contexts (bulk reads, vacuum, …) are added up."""
    totals: defaultdict[tuple[str, str, str], float] = defaultdict(float)
    for row in rows:
        for column, value in row.items():
            if column not in _IO_LABELS and column not in _NOT_COUNTERS and isinstance(value, int | float | Decimal):
                totals[column, row["backend_type"], row["object"]] += float(value)
    for (column, backend, kind), value in totals.items():
        labels = {"backend_type": backend, "object": kind}
        yield Sample(at_s=at_s, metric=f"pg_stat_io_{column}", value=value, labels=labels)

"""The primary's write-ahead log as its replicas are measured by it: how far it is, and a heartbeat that keeps it going.

The heartbeat is a row that is written once a second, in a table of ours beside the dataset. So there is always something to
replay, and a replica that is cut off from an idle primary falls behind as it would from a busy one.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import asyncpg

from harness.probes.connection import ProbeConnection
from harness.probes.probe import FAILURES
from harness.stack.postgres.endpoint import Endpoint

SCHEMA = "flashcrowd"
TABLE = f"{SCHEMA}.heartbeat"
#: A little less than a second, so that a tick each second always beats.
BEAT_EVERY_S = 0.9
#: A primary that hangs must not hold up what is measured on its replicas.
POSITION_LIMIT_S = 0.3

_POSITION = "SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint"
_MAKE = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA};"
    f"CREATE TABLE IF NOT EXISTS {TABLE} (id int PRIMARY KEY, at timestamptz NOT NULL);"
    f"GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC; GRANT SELECT ON {TABLE} TO PUBLIC"
)
_BEAT = f"INSERT INTO {TABLE} VALUES (1, clock_timestamp()) ON CONFLICT (id) DO UPDATE SET at = clock_timestamp()"
NEWEST_BEAT = f"SELECT extract(epoch FROM clock_timestamp() - max(at))::float8 FROM {TABLE}"


class PrimaryLog:
    """Asks the primary how far its log is, once for all who want to know at a time, and writes the heartbeat.

    It holds two connections, of those that are reserved for superusers once the others are taken.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.connection = ProbeConnection(endpoint.dsn(), writes=True)
        self._asking = ProbeConnection(endpoint.dsn())
        self._asked: asyncio.Task[int | None] | None = None
        self._beat_s = float("-inf")
        self._beats = False

    async def open(self) -> str | None:
        """Connect and make the heartbeat's table.

        :returns: why there is no heartbeat; None where there is
        :raises OSError: the primary cannot be reached; :class:`asyncpg.PostgresError` where it refuses
        """
        await self._asking.open()
        try:
            for statement in _MAKE.split(";"):
                await self.connection.fetch(statement)
        except asyncpg.InsufficientPrivilegeError as error:
            return (
                f"no heartbeat is written ({error}): while the primary writes nothing, a replica that is cut off from it seems "
                "to keep up. GRANT CREATE ON DATABASE to the role, and it is"
            )
        self._beats = True
        await self.beat()
        return None

    async def position(self) -> int | None:
        """Up to where the log is on the primary's disk now, in bytes from its beginning; None where it does not answer."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.create_task(self._ask())
        try:
            async with asyncio.timeout(POSITION_LIMIT_S):
                return await asyncio.shield(self._asked)
        except TimeoutError:
            return None

    async def beat(self) -> None:
        """Write the heartbeat, at most once a second.

        :raises asyncpg.PostgresError: the server refused; ``InterfaceError`` or ``OSError`` where it went away
        """
        if self._beats and time.monotonic() - self._beat_s >= BEAT_EVERY_S:
            await self.connection.fetch(_BEAT)
            self._beat_s = time.monotonic()

    async def close(self) -> None:
        """Remove the table as far as the server answers, and close the connections; a second call does nothing."""
        if self._asked is not None:
            self._asked.cancel()
            with suppress(asyncio.CancelledError):
                await self._asked
        if self._beats:
            self._beats = False
            with suppress(*FAILURES):
                async with asyncio.timeout(POSITION_LIMIT_S):
                    await self.connection.fetch(f"DROP TABLE {TABLE}")
                    with suppress(asyncpg.DependentObjectsStillExistError, asyncpg.InsufficientPrivilegeError):
                        await self.connection.fetch(f"DROP SCHEMA {SCHEMA}")
        await self.connection.close()
        await self._asking.close()

    async def _ask(self) -> int | None:
        with suppress(*FAILURES):
            found: int | None = await self._asking.value(_POSITION)
            return found
        return None

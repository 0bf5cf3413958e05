"""The probes' own connections: opened before the load, kept, and opened anew after the server was away.

A full server lets nobody in, so a probe must be inside before the crowd comes. Each probe that asks by SQL has a connection
to itself, so that one which waits holds up no other. They are told from everybody else's by their application_name and left
out of the probes' figures by it; their statements are left out of pg_stat_statements.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg

APPLICATION_NAME = "flashcrowd-probe"
#: The server gives up on a probe's statement after this: it must not burden a server that is in trouble.
STATEMENT_TIMEOUT_S = 1.0
CONNECT_LIMIT_S = 5.0
CLOSE_LIMIT_S = 2.0

_SQL = Path(__file__).parent / "sql"


class ProbeConnection:
    """A connection that is kept, in autocommit, and made again when it was lost. One statement at a time.

    :param writes: whether it may write, as no probe does but the one that has a table of its own
    :param dsn: ``postgresql://…``; its role should be a superuser or have pg_monitor, or others' statements stay hidden
    """

    def __init__(self, dsn: str, *, statement_timeout_s: float = STATEMENT_TIMEOUT_S, writes: bool = False) -> None:
        self._dsn = dsn
        self._statement_timeout_s = statement_timeout_s
        self._writes = writes
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._closed = False

    async def open(self) -> None:
        """Connect unless connected.

        :raises OSError: the server cannot be reached; :class:`asyncpg.PostgresError` where it refuses
        """
        if self._closed:
            raise asyncpg.InterfaceError("the probe's connection was closed")
        if self._connection is not None and not self._connection.is_closed():
            return
        settings = {
            "application_name": APPLICATION_NAME,
            "statement_timeout": str(round(self._statement_timeout_s * 1000)),
            # What a replica that must confirm commits does not is nothing that a probe waits for.
            **({"synchronous_commit": "local"} if self._writes else {"default_transaction_read_only": "on"}),
        }
        connection = await asyncpg.connect(self._dsn, timeout=CONNECT_LIMIT_S, server_settings=settings)
        try:
            # Only a superuser may; whoever is none sees the probes' statements among the others.
            with suppress(asyncpg.InsufficientPrivilegeError):
                await connection.execute("SET pg_stat_statements.track = 'none'")
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows of one statement; connects first if need be.

        :raises asyncpg.PostgresError: the server refused; ``InterfaceError`` or ``OSError`` where it went away
        """
        await self.open()
        assert self._connection is not None
        return await self._connection.fetch(query, *arguments)

    async def value(self, query: str, *arguments: object) -> Any:
        """First column of the first row; None if there is no row."""
        rows = await self.fetch(query, *arguments)
        return rows[0][0] if rows else None

    async def close(self) -> None:
        """Close for good; never waits for a server that does not answer."""
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is None or connection.is_closed():
            return
        try:
            await connection.close(timeout=CLOSE_LIMIT_S)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()
        except asyncio.CancelledError:
            connection.terminate()
            raise


@cache
def sql(name: str) -> str:
    """The statement in ``sql/<name>.sql``; its first comment says what a row means."""
    return (_SQL / f"{name}.sql").read_text(encoding="utf-8")

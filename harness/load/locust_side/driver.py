"""The two drivers behind one interface: connect, is it still usable, undo what was left open, close.

An operation gets the driver's own connection: nobody has to learn an API of ours to write a statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import asyncpg
import psycopg

from harness.model import Application
from harness.model import Driver as DriverName

APPLICATION_NAME = "flashcrowd-load"


class Driver(Protocol):
    """What the pool needs of a client library."""

    async def connect(self) -> Any:
        """A new connection."""

    def usable(self, connection: Any) -> bool:
        """Whether the connection is open."""

    async def clean(self, connection: Any) -> None:
        """Roll back what a failed operation left open."""

    async def close(self, connection: Any) -> None:
        """Close politely, or at once if the server does not answer."""


def session_settings(application: Application) -> dict[str, str]:
    """Server parameters of each session, as the application declares them."""
    settings = {"application_name": APPLICATION_NAME, **application.settings}
    if application.statement_timeout_s is not None:
        settings["statement_timeout"] = f"{round(application.statement_timeout_s * 1000)}ms"
    return settings


class Asyncpg:
    """asyncpg; prepared statements are cached per connection."""

    def __init__(self, dsn: str, settings: Mapping[str, str]) -> None:
        self._dsn = dsn
        self._settings = dict(settings)

    async def connect(self) -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(self._dsn, server_settings=self._settings)

    def usable(self, connection: asyncpg.Connection[asyncpg.Record]) -> bool:
        return not connection.is_closed()

    async def clean(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK")

    async def close(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        try:
            await connection.close(timeout=1.0)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()


class Psycopg:
    """psycopg 3, in autocommit: a transaction is opened where an operation says so."""

    def __init__(self, dsn: str, settings: Mapping[str, str]) -> None:
        self._dsn = dsn
        self._options = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in settings.items())

    async def connect(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        return await psycopg.AsyncConnection.connect(self._dsn, options=self._options, autocommit=True)

    def usable(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> bool:
        return not connection.closed

    async def clean(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            await connection.rollback()

    async def close(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        await connection.close()


def driver_for(application: Application, dsn: str) -> Driver:
    """The driver that the application declares."""
    settings = session_settings(application)
    return Asyncpg(dsn, settings) if application.driver is DriverName.ASYNCPG else Psycopg(dsn, settings)

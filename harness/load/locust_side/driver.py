"""The two drivers behind one interface: connect, is it still usable, undo what was left open, close.

An operation gets the driver's own connection: nobody has to learn an API of ours to write a statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import asyncpg

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


def driver_for(application: Application, dsn: str) -> Driver:
    """The driver that the application declares."""
    settings = session_settings(application)
    if application.driver is DriverName.ASYNCPG:
        return Asyncpg(dsn, settings)
    from harness.load.locust_side.psycopg_driver import Psycopg  # few incidents use it, and it takes long to import

    return Psycopg(dsn, settings)

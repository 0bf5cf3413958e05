"""psycopg behind the functions of :class:`harness.load.locust_side.driver.Driver`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg


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

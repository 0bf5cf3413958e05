"""A driver without a server, at the pool's narrow interface."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.load.locust_side.pool import Pool
from harness.load.locust_side.readers import Readers
from harness.load.locust_side.source import Source
from harness.model import Application


@dataclass(eq=False)
class FakeConnection:
    number: int
    open: bool = True
    in_transaction: bool = False


@dataclass
class FakeDriver:
    """Connects at once; ``refuse`` makes it raise, ``slow_clean`` makes a rollback hang."""

    made: list[FakeConnection] = field(default_factory=list)
    refuse: Exception | None = None
    slow_clean: bool = False
    cleaned: int = 0

    async def connect(self) -> Any:
        await asyncio.sleep(0)
        if self.refuse:
            raise self.refuse
        connection = FakeConnection(len(self.made))
        self.made.append(connection)
        return connection

    def usable(self, connection: FakeConnection) -> bool:
        return connection.open

    async def clean(self, connection: FakeConnection) -> None:
        if self.slow_clean:
            await asyncio.sleep(60)
        self.cleaned += 1
        connection.in_transaction = False

    async def close(self, connection: FakeConnection) -> None:
        connection.open = False

    @property
    def open(self) -> int:
        return sum(connection.open for connection in self.made)


@dataclass
class FakeSupply:
    """One pool for all operations, or one a user; one more for operations that only read, where there are readers."""

    application: Application
    driver: FakeDriver
    readers: Readers | None = None
    reading: Collection[str] = ()

    def shared(self, operations: Sequence[str]) -> list[Source]:
        return self._sources(operations, self.application.pool_size, self.application.reader_pool_size)

    def of_one_user(self, operations: Sequence[str]) -> list[Source]:
        return self._sources(operations, 1, 1)

    def use_readers(self, dsns: Sequence[str]) -> None:
        assert self.readers is not None
        self.readers.use(dsns)

    def _sources(self, operations: Sequence[str], size: int, reader_size: int) -> list[Source]:
        limit_s = self.application.pool_wait_limit_s
        pool = Pool(self.driver, size, limit_s)
        reader_pool = Pool(self.readers, reader_size, limit_s) if self.readers else pool
        return [reader_pool if name in self.reading else pool for name in operations]

"""A driver without a server, at the pool's narrow interface."""

import asyncio
from dataclasses import dataclass, field
from typing import Any


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

"""The connection pool of an application server: bounded, first come first served, its waits left to the caller to time.

asyncpg's own pool sends a reset at each release and psycopg's serves psycopg alone; neither tells how long a request
waited. Connections are opened when needed and the one used last is taken first, so a quiet application holds few.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from harness.load.locust_side.driver import Driver
from harness.load.locust_side.outcome import PoolTimeout

#: A server that does not even answer a ROLLBACK in this time is hung; its connection is given up.
CLEAN_LIMIT_S = 2.0


class Pool:
    """At most ``size`` connections.

    Invariant: ``size`` ≥ ``open`` = idle + lent + being opened; somebody waits only if none is idle.

    :param wait_limit_s: longest wait for a connection; None waits for ever
    :ivar waiting: requests that wait for a connection; a number of its own, since another thread reads it
    """

    def __init__(self, driver: Driver, size: int, wait_limit_s: float | None) -> None:
        self._driver = driver
        self._size = size
        self._wait_limit_s = wait_limit_s
        self._idle: list[Any] = []
        self._waiters: deque[asyncio.Future[Any]] = deque()
        self._closed = False
        self.open = 0
        self.waiting = 0

    @property
    def idle(self) -> int:
        """Connections that nobody uses."""
        return len(self._idle)

    async def begin(self) -> None:
        """Nothing: connections are opened when they are needed."""

    def take(self) -> Any | None:
        """An idle connection, the one used last; None where a request has to wait for one. Spares a coroutine."""
        while self._idle:
            connection = self._idle.pop()
            if self._driver.usable(connection):
                return connection
            self.open -= 1
        return None

    def give(self, connection: Any) -> bool:
        """Give back a connection after success; False where it takes :meth:`release` to do so."""
        if self._closed or not self._driver.usable(connection):
            return False
        self._pass_on(connection)
        return True

    async def acquire(self) -> Any:
        """A connection of the driver.

        :raises PoolTimeout: none came free in time
        :raises Exception: what the driver raised, where a new connection could not be opened
        """
        if (idle := self.take()) is not None:
            return idle
        if self.open < self._size:
            self.open += 1
            return await self._connect()
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._wait_limit_s):
                connection = await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self._pass_on(waiter.result())  # handed over in the very moment we gave up
            if isinstance(error, TimeoutError):
                raise PoolTimeout from None
            raise
        finally:
            self.waiting -= 1
            if not waiter.done():
                waiter.cancel()
        return connection if connection is not None else await self._connect()

    def reached(self, started: int, acquired: int, finished: int) -> int:
        """A request has its connection from when it was lent one until it ends."""
        return acquired

    async def release(self, connection: Any, *, failed: bool) -> None:
        """Give a connection back; after a failure it is cleaned, or replaced if it cannot be."""
        if failed and self._driver.usable(connection):
            try:
                async with asyncio.timeout(CLEAN_LIMIT_S):
                    await self._driver.clean(connection)
            except Exception:
                # whatever went wrong, a connection in an unknown state must not serve the next request
                await self._driver.close(connection)
        if self._closed or not self._driver.usable(connection):
            await self._driver.close(connection)  # it may be open, but to a server that is not to be used any more
        if self._driver.usable(connection):
            self._pass_on(connection)
        else:
            self._lost()

    async def sift(self) -> None:
        """Close what is idle and not usable any more, as when the servers behind the driver changed."""
        idle = self._idle
        self._idle = [connection for connection in idle if self._driver.usable(connection)]
        unusable = [connection for connection in idle if not self._driver.usable(connection)]
        self.open -= len(unusable)
        await asyncio.gather(*(self._driver.close(connection) for connection in unusable))

    async def close(self) -> None:
        """Close what is idle; what is lent is closed by its release."""
        self._closed = True
        idle, self._idle = self._idle, []
        self.open -= len(idle)
        await asyncio.gather(*(self._driver.close(connection) for connection in idle))

    async def _connect(self) -> Any:
        """Open a connection that is counted already."""
        try:
            return await self._driver.connect()
        except BaseException:
            self._lost()
            raise

    def _pass_on(self, connection: Any) -> None:
        """Hand a connection (None: the right to open one, counted as open) to who has waited longest, else keep it."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if connection is None:
            self.open -= 1
        else:
            self._idle.append(connection)

    def _lost(self) -> None:
        """A connection is gone: who waits may open a new one in its place."""
        self._pass_on(None)

"""MongoDB as a source: PyMongo's asynchronous client, and how long each request waited for its connections.

An operation gets the client's database. Each of its commands takes a connection to the member that it goes to, out of the
driver's pool, and gives it back; so a request may wait several times. The driver hides that, but tells listeners when it
begins to look for a connection and when it has one, in the task that waits; what a request waited is the time during which
any of its tasks did. Its pool wait includes opening a connection, as with the other pool, and its service time whatever the
driver does besides: choosing a member (while none is primary, that is the wait for an election) and trying once more.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import ContextVar
from time import monotonic_ns as now_ns
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from pymongo.monitoring import (
    ConnectionCheckedInEvent,
    ConnectionCheckedOutEvent,
    ConnectionCheckOutFailedEvent,
    ConnectionCheckOutStartedEvent,
    ConnectionClosedEvent,
    ConnectionCreatedEvent,
    ConnectionPoolListener,
    ConnectionReadyEvent,
    PoolClearedEvent,
    PoolClosedEvent,
    PoolCreatedEvent,
    PoolReadyEvent,
)
from pymongo.uri_parser import parse_uri

from harness.errors import DefinitionError
from harness.load.locust_side.driver import APPLICATION_NAME
from harness.load.plan import MONGO_VARIABLE
from harness.model import Application

#: A server that does not even answer to a farewell in this time is hung.
CLOSE_LIMIT_S = 2.0


class _Wait:
    """One request's waits for connections.

    A wait that an operation's own time limit cancelled is not told of; it counts until the task's next one ends.

    :ivar got: whether it ever had a connection
    """

    __slots__ = ("_since", "_tasks", "got", "ns")

    def __init__(self) -> None:
        self._since = 0
        self._tasks: set[asyncio.Task[Any] | None] = set()
        self.got = False
        self.ns = 0

    def begin(self) -> bool:
        """The current task waits; whether the request did not before."""
        first = not self._tasks
        if first:
            self._since = now_ns()
        self._tasks.add(asyncio.current_task())
        return first

    def end(self, *, got: bool) -> bool:
        """The current task waits no longer; whether the request does not either."""
        self.got |= got
        waited = bool(self._tasks)
        self._tasks.discard(asyncio.current_task())
        return waited and not self._tasks and self._add(now_ns())

    def settle(self, finished: int) -> bool:
        """The request has ended; whether it was still waiting."""
        waited = bool(self._tasks)
        self._tasks.clear()
        return waited and self._add(finished)

    def _add(self, until: int) -> bool:
        self.ns += until - self._since
        return True


#: Set for each request in its own task, and inherited by the tasks that it starts.
_WAIT: ContextVar[_Wait | None] = ContextVar("flashcrowd_wait", default=None)


class MongoSource(ConnectionPoolListener):
    """The driver's client, with at most ``size`` connections to each member.

    :param uri: names the database
    :param size: the driver's ``maxPoolSize``
    :raises DefinitionError: the address cannot be used
    """

    def __init__(self, uri: str, application: Application, size: int) -> None:
        self._uri = uri
        self._name = _database_of(uri)
        self._options = client_options(application, size)
        self._client: AsyncMongoClient[dict[str, Any]] | None = None
        self._database: AsyncDatabase[dict[str, Any]] | None = None
        self._opening: set[tuple[Any, int]] = set()
        self._lent = 0
        self.open = 0
        self.waiting = 0

    @property
    def idle(self) -> int:
        """Connections that nobody uses, to all members together."""
        return max(0, self.open - len(self._opening) - self._lent)

    async def begin(self) -> None:
        """Open the client, which begins to watch the members; its connections are opened when they are needed."""
        self._client = AsyncMongoClient(self._uri, event_listeners=[self], **self._options)
        self._database = self._client[self._name]
        await self._client.aconnect()

    def take(self) -> AsyncDatabase[dict[str, Any]] | None:
        """The database, at once: what waits is each of the operation's commands."""
        _WAIT.set(_Wait())
        return self._database

    async def acquire(self) -> Any:
        """Not used: there is nothing to wait for."""
        raise AssertionError("the client was not begun")

    def reached(self, started: int, acquired: int, finished: int) -> int:
        """As if all waits of the request had come first."""
        wait = _WAIT.get()
        if not acquired or wait is None:
            return 0
        self.waiting -= wait.settle(finished)
        return started + wait.ns if wait.got else 0

    def give(self, lent: Any) -> bool:
        """Nothing to do: each command gave its connection back."""
        return True

    async def release(self, lent: Any, *, failed: bool) -> None:
        """Nothing to do: the driver closes a connection that it lost or that was given up on in the middle of a command."""

    async def sift(self) -> None:
        """Nothing to do: the driver learns by itself which members there are."""

    async def close(self) -> None:
        """Close the client and its connections."""
        if self._client is not None:
            with suppress(TimeoutError, PyMongoError, OSError):
                async with asyncio.timeout(CLOSE_LIMIT_S):
                    await self._client.close()

    # --- what the driver tells, in the task that it happens in

    def connection_check_out_started(self, event: ConnectionCheckOutStartedEvent) -> None:
        if (wait := _WAIT.get()) is not None:
            self.waiting += wait.begin()

    def connection_checked_out(self, event: ConnectionCheckedOutEvent) -> None:
        self._lent += 1
        if (wait := _WAIT.get()) is not None:
            self.waiting -= wait.end(got=True)

    def connection_check_out_failed(self, event: ConnectionCheckOutFailedEvent) -> None:
        if (wait := _WAIT.get()) is not None:
            self.waiting -= wait.end(got=False)

    def connection_checked_in(self, event: ConnectionCheckedInEvent) -> None:
        self._lent -= 1

    def connection_created(self, event: ConnectionCreatedEvent) -> None:
        self.open += 1
        self._opening.add((event.address, event.connection_id))

    def connection_ready(self, event: ConnectionReadyEvent) -> None:
        self._opening.discard((event.address, event.connection_id))

    def connection_closed(self, event: ConnectionClosedEvent) -> None:
        self.open -= 1
        self._opening.discard((event.address, event.connection_id))

    def pool_created(self, event: PoolCreatedEvent) -> None: ...

    def pool_ready(self, event: PoolReadyEvent) -> None: ...

    def pool_cleared(self, event: PoolClearedEvent) -> None: ...

    def pool_closed(self, event: PoolClosedEvent) -> None: ...


def _database_of(uri: str) -> str:
    """The database that an address names. What is wrong with an address is not quoted: it may hold a password."""
    why = "it names no database"
    try:
        if database := parse_uri(uri)["database"]:
            return str(database)
    except (PyMongoError, ValueError) as error:
        why = f"the driver cannot read it ({type(error).__name__})"
    raise DefinitionError(
        where="environment", field=MONGO_VARIABLE, value="…", expected=f"mongodb://<host>:<port>/<database>; {why}"
    )


def client_options(application: Application, size: int) -> dict[str, Any]:
    """What the driver is told; what the application does not declare is left to the address and to the driver."""
    declared = application.mongo
    in_ms = {
        "waitQueueTimeoutMS": application.pool_wait_limit_s,
        "wTimeoutMS": declared.wtimeout_s,
        "serverSelectionTimeoutMS": declared.server_selection_timeout_s,
        "connectTimeoutMS": declared.connect_timeout_s,
        "socketTimeoutMS": declared.socket_timeout_s,
    }
    options = {
        "appName": APPLICATION_NAME,
        "maxPoolSize": size,
        "maxConnecting": declared.max_connecting,
        "readPreference": declared.read_preference,
        "maxStalenessSeconds": declared.max_staleness_s,
        "readConcernLevel": declared.read_concern,
        "w": declared.write_concern,
        "journal": declared.journal,
        "retryWrites": declared.retry_writes,
        "retryReads": declared.retry_reads,
        **{name: None if seconds is None else round(seconds * 1000) for name, seconds in in_ms.items()},
    }
    return {name: value for name, value in options.items() if value is not None}

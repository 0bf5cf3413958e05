"""What gives an operation its connection, behind one interface; which database an operation is on.

A PostgreSQL operation gets a connection out of a pool of ours (``pool.py``), a MongoDB operation the driver's own
database object, whose commands take connections out of the driver's own pool (``mongo.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

#: Set on a method by the decorator ``operation``.
MARK = "flashcrowd_operation"
READS = "flashcrowd_reads"


class Database(StrEnum):
    """The kind of server that an operation talks to."""

    POSTGRES = "PostgreSQL"
    MONGO = "MongoDB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What an operation works with.

    :param reads: it only reads, so a replica of PostgreSQL will do
    """

    database: Database
    reads: bool = False


class Source(Protocol):
    """Lends requests what they work with, and knows how long each waited for it.

    The numbers are read by the engine's telemetry on another thread.

    :ivar open: connections, those being opened included
    :ivar idle: connections that nobody uses
    :ivar waiting: requests that wait for a connection
    """

    @property
    def open(self) -> int: ...

    @property
    def idle(self) -> int: ...

    @property
    def waiting(self) -> int: ...

    async def begin(self) -> None:
        """Get ready on the loop, before the first request and outside of any."""

    def take(self) -> Any | None:
        """What a request works with, if it need not wait for it: spares it a coroutine."""

    async def acquire(self) -> Any:
        """The same, as soon as there is one.

        :raises PoolTimeout: it took longer than the application waits
        """

    def reached(self, started: int, acquired: int, finished: int) -> int:
        """When a request that has ended had got its connection, as it is recorded: ``started`` and its pool wait.

        :param acquired: when it was lent something; 0: it never was
        :returns: 0 where it never got a connection
        """

    def give(self, lent: Any) -> bool:
        """Take back after success; False where it takes :meth:`release` to do so."""

    async def release(self, lent: Any, *, failed: bool) -> None:
        """Take back; after a failure nothing of it may reach the next request."""

    async def sift(self) -> None:
        """Close what is idle and not to be used any more, as when the servers behind it changed."""

    async def close(self) -> None:
        """Close all connections, those still lent at their release."""

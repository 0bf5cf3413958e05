"""The replicas that take reads, as a driver of one pool: a new connection goes to the replica that has the fewest, and requests
take turns.

When the list of replicas changes, a connection to one that left it, and what another has beyond its share, counts as not
usable any more: its pool closes it when it comes back and opens one elsewhere. So a replica that joined gets its part of the
reads within moments also of a pool that was full, as with an application whose pool limits a connection's life.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from harness.load.locust_side.driver import Driver


class Readers:
    """Several servers behind the driver's functions. For one thread, the loop's.

    Invariant: each open connection is in ``_of`` with its server; ``_retired`` are those that are open and not to be used.

    :param make: a driver for an address
    :param dsns: the replicas' addresses
    :param fallback: the primary's, used while there is no replica
    """

    def __init__(self, make: Callable[[str], Driver], dsns: Sequence[str], *, fallback: str) -> None:
        self._make = make
        self._fallback = fallback
        self._drivers: dict[str, Driver] = {}
        self._opening: Counter[str] = Counter()
        self._of: dict[Any, str] = {}
        self._retired: set[Any] = set()
        self._dsns: tuple[str, ...] = ()
        self._turn = 0
        self.use(dsns)

    def use(self, dsns: Sequence[str]) -> None:
        """From now on these are the replicas."""
        self._dsns = tuple(dict.fromkeys(dsns)) or (self._fallback,)
        for dsn in self._dsns:
            if dsn not in self._drivers:
                self._drivers[dsn] = self._make(dsn)
        self._forget_lost()
        share = math.ceil(len(self._of) / len(self._dsns))
        kept: Counter[str] = Counter()
        self._retired.clear()
        for connection, dsn in self._of.items():
            if dsn not in self._dsns or kept[dsn] >= share:
                self._retired.add(connection)
            else:
                kept[dsn] += 1

    @property
    def turn(self) -> str:
        """The replica whose turn it is to take a request."""
        return self._dsns[self._turn % len(self._dsns)]

    def took(self) -> None:
        """A request was taken: it is the next one's turn."""
        self._turn += 1

    def of(self, connection: Any) -> str | None:
        """Which replica a connection is to; None for one that was forgotten."""
        return self._of.get(connection)

    def retire_one_too_many(self, connection: Any) -> None:
        """Count a connection as not usable any more if its replica has more than its share and another has less.

        So a replica that was away gets its part of a full pool again.
        """
        counts = self.open()
        own = self._of.get(connection)
        if own is not None and counts.get(own, 0) > min(counts.values()) + 1:
            self._retired.add(connection)

    def open(self) -> dict[str, int]:
        """How many connections each replica of the list has, those being opened and none that are retired counted."""
        self._forget_lost()
        counts = Counter(dsn for connection, dsn in self._of.items() if connection not in self._retired)
        return {dsn: counts[dsn] + self._opening[dsn] for dsn in self._dsns}

    async def connect(self) -> Any:
        """A new connection to the replica that has the fewest; where it refuses, to the next, as libpq does with several hosts.

        :raises Exception: what the driver raised for the first of them, where all refuse
        """
        self.took()
        counts = self.open()
        refused: Exception | None = None
        for dsn in sorted(counts, key=lambda dsn: counts[dsn]):
            self._opening[dsn] += 1
            try:
                connection = await self._drivers[dsn].connect()
            except Exception as error:
                refused = refused or error
                continue
            finally:
                self._opening[dsn] -= 1
            self._of[connection] = dsn
            if dsn not in self._dsns:  # it left the list meanwhile
                self._retired.add(connection)
            return connection
        assert refused is not None, "there is a server in the list, so somebody refused"
        raise refused

    def usable(self, connection: Any) -> bool:
        """Whether the connection is open and to be used further."""
        return connection not in self._retired and self._driver(connection).usable(connection)

    async def clean(self, connection: Any) -> None:
        """Roll back what a failed operation left open."""
        await self._driver(connection).clean(connection)

    async def close(self, connection: Any) -> None:
        """Close politely, or at once if the server does not answer."""
        try:
            await self._driver(connection).close(connection)
        finally:
            if not self._driver(connection).usable(connection):
                self._forget(connection)

    def _driver(self, connection: Any) -> Driver:
        # Which one it is does not matter for a connection that was forgotten because it is closed.
        return self._drivers[self._of.get(connection, self._dsns[0])]

    def _forget_lost(self) -> None:
        for connection in [one for one in self._of if not self._driver(one).usable(one)]:
            self._forget(connection)

    def _forget(self, connection: Any) -> None:
        self._of.pop(connection, None)
        self._retired.discard(connection)

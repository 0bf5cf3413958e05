"""The pool of connections to replicas: as the application's other pool, but requests take turns over the replicas."""

from __future__ import annotations

from time import monotonic
from typing import Any

from harness.load.locust_side.pool import Pool
from harness.load.locust_side.readers import Readers

#: How often a connection is looked at that may be one too many. A replica that is still away costs its neighbours no more than
#: a new connection in this time.
BALANCE_S = 1.0


class ReaderPool(Pool):
    """At most ``size`` connections, over all replicas together.

    A request whose turn it is to go to a replica takes an idle connection to it, or opens one while there is room; where
    there is none, any idle connection will do, and a request that waited takes the first that comes back.
    """

    def __init__(self, readers: Readers, size: int, wait_limit_s: float | None) -> None:
        super().__init__(readers, size, wait_limit_s)
        self._readers = readers
        self._balanced_s = monotonic()

    def take(self) -> Any | None:
        """An idle connection to the replica whose turn it is; None where one is to be opened, or waited for."""
        readers = self._readers
        while self._idle:
            turn = readers.turn
            place = next((at for at in reversed(range(len(self._idle))) if readers.of(self._idle[at]) == turn), None)
            if place is None and self.open < self._size:
                return None
            connection = self._idle.pop(-1 if place is None else place)
            if readers.usable(connection):
                readers.took()
                return connection
            self.open -= 1
        return None

    def give(self, connection: Any) -> bool:
        """Give back a connection after success; False where it takes :meth:`release` to do so."""
        now_s = monotonic()
        if now_s - self._balanced_s >= BALANCE_S:
            self._balanced_s = now_s
            self._readers.retire_one_too_many(connection)
        return super().give(connection)

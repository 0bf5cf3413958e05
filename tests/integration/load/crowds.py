"""The crowd itself on a real MongoDB, without Locust: on the loop that workers use, its rows read back as they are recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any

import numpy as np
import pytest
import uvloop
from numpy.typing import NDArray
from pymongo.errors import PyMongoError

from harness.load.arrivals import schedule
from harness.load.locust_side.crowd import Arrival, Crowd
from harness.load.locust_side.mongo import MongoSource
from harness.load.locust_side.recorder import Recorder
from harness.load.locust_side.source import Database, Use
from harness.load.locust_side.supply import WorkerSupply
from harness.load.plan import DSN_VARIABLE, MONGO_VARIABLE
from harness.model import Application, Constant, Process, Traffic
from harness.record.format import NOT_REACHED

#: A connect that is cancelled, by a time limit or when its client closes, leaves its socket to the garbage collector in
#: PyMongo (``pool_shared._async_create_connection``). For ``pytestmark``.
SOCKETS_OF_THE_DRIVERS = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
)

Operation = Callable[[Any, Arrival], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """What was recorded, one entry a request, in order of arrivals; times in nanoseconds.

    :ivar wait_ns: of those that got a connection, else -1
    :ivar failures: what was kept of the first failures
    """

    rows: NDArray[Any]
    outcomes: list[str]
    failures: list[dict[str, Any]]

    @property
    def wait_ns(self) -> NDArray[np.int64]:
        reached = self.rows["acquired"] != NOT_REACHED
        return np.where(reached, self.rows["acquired"] - self.rows["started"], -1)

    @property
    def service_ns(self) -> NDArray[np.int64]:
        return np.asarray(self.rows["finished"] - self.rows["acquired"], dtype=np.int64)


def at_once(count: int) -> Traffic:
    """So many arrivals within a fiftieth of a second."""
    return Traffic(
        phases=(Constant(name="burst", at_s=0, for_s=0.02, per_s=count / 0.02),), mix={"act": 1}, process=Process.EVEN
    )


class MongoCrowd:
    """One worker's crowd.

    :param dsn: of a PostgreSQL, which the operations of ``on_postgres`` are on
    """

    def __init__(
        self,
        uri: str,
        application: Application,
        traffic: Traffic,
        *,
        dsn: str = "",
        on_postgres: Collection[str] = (),
    ) -> None:
        self.recorder = Recorder(None, worker=0)
        uses = {
            name: Use(database=Database.POSTGRES if name in on_postgres else Database.MONGO) for name in traffic.mix
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(MONGO_VARIABLE, uri)
            patch.setenv(DSN_VARIABLE, dsn)
            supply = WorkerSupply(application, uses, 0, 1)
        self.crowd = Crowd(
            traffic=traffic,
            schedule=schedule(traffic, 1),
            application=application,
            supply=supply,
            recorder=self.recorder,
            seed=1,
            worker=0,
            workers=1,
            cap=10_000,
        )

    async def carry(self, operations: Mapping[str, Operation], *, drain_s: float = 10.0) -> Requests:
        """Carry the traffic out."""
        await self.crowd.begin()
        await self._know_the_members()
        await self.crowd.arrive(monotonic_ns() + 10_000_000, operations)
        await self.crowd.finish(drain_s)
        return self.requests()

    async def _know_the_members(self) -> None:
        """As in a run, whose workers have two seconds for it."""
        for source in self.crowd.sources:
            if isinstance(source, MongoSource):
                database = source.take()
                assert database is not None
                with suppress(PyMongoError):  # a test may be about that
                    await database.client.admin.command("ping")

    def requests(self) -> Requests:
        """What was recorded since the last call."""
        failures = list(self.recorder._failures)
        self.recorder.hand_over()
        rows = np.sort(self.recorder.flush(), order=("arrival", "attempt"))
        names = [self.recorder.outcomes.name(code) for code in rows["outcome"].tolist()]
        return Requests(rows=rows, outcomes=names, failures=failures)


def on_the_loop(work: Coroutine[Any, Any, Any]) -> Any:
    """Run it on the loop that load workers use."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def carry(
    uri: str,
    operation: Operation,
    *,
    count: int = 1,
    application: Application | None = None,
    traffic: Traffic | None = None,
    drain_s: float = 10.0,
) -> Requests:
    """What is recorded of so many requests at once."""
    crowd = MongoCrowd(uri, application or Application(pool_size=4), traffic or at_once(count))
    found: Requests = on_the_loop(crowd.carry({"act": operation}, drain_s=drain_s))
    return found

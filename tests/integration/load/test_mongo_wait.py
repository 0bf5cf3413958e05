"""What a request waited for connections, held against what the server itself says of how long it worked."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from time import monotonic_ns
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pymongo import MongoClient
from pymongo.database import Database

from harness.load.locust_side.arrival import Arrival
from harness.load.locust_side.driver import APPLICATION_NAME
from harness.model import Application, Connections, Traffic, Users
from harness.stack.mongo.members import ReplicaSet
from tests.integration.command import until

from .crowds import SOCKETS_OF_THE_DRIVERS, MongoCrowd, Requests, at_once, carry, on_the_loop

pytestmark = [pytest.mark.server, SOCKETS_OF_THE_DRIVERS]

WORK_MS = 60


@pytest.fixture
def profiled(mongo: ReplicaSet) -> Iterator[Database[Any]]:
    """The database, whose server writes down every operation and how long it took."""
    with MongoClient(mongo.uri()) as client:
        database = client[mongo.database]
        database.command({"profile": 2})
        try:
            yield database
        finally:
            database.command({"profile": 0})
            database.drop_collection("system.profile")


async def work(database: Any, arrival: Arrival) -> None:
    """So long on the server, which is told whose work it is."""
    await database.players.find_one(
        {"_id": 1, "$where": f"sleep({WORK_MS}) || true"}, comment=f"arrival {arrival.index}"
    )


def worked_ns(database: Database[Any], count: int) -> NDArray[np.int64]:
    """How long the server worked for each arrival, in order."""
    found: dict[int, int] = defaultdict(int)
    for entry in database["system.profile"].find({"appName": APPLICATION_NAME, "command.comment": {"$exists": True}}):
        found[int(entry["command"]["comment"].split()[1])] += entry["millis"] * 1_000_000
    assert sorted(found) == list(range(count))
    return np.array([found[arrival] for arrival in range(count)])


def test_service_is_the_servers_time_and_the_rest_was_waited(mongo: ReplicaSet, profiled: Database[Any]) -> None:
    count = 8
    found = carry(mongo.uri(), work, count=count, application=Application(pool_size=1))
    worked = worked_ns(profiled, count)
    assert set(found.outcomes) == {"ok"}
    # The server counts whole milliseconds, rounded down; what it worked for one's own request is no wait.
    response = found.rows["finished"] - found.rows["started"]
    assert (found.wait_ns <= response - worked).all()
    # There is one connection: who had it later waited for all that was done before, since the first request began.
    order = np.argsort(found.rows["acquired"])
    before = np.concatenate([[0], np.cumsum(worked[order])[:-1]])
    late = found.rows["started"][order] - found.rows["started"].min()
    assert np.median(found.wait_ns[order] - (before - late)) >= 0
    assert found.wait_ns.max() > (count - 2) * WORK_MS * 1e6


def test_every_command_of_a_request_may_wait(mongo: ReplicaSet, profiled: Database[Any]) -> None:
    async def twice(database: Any, arrival: Arrival) -> None:
        await work(database, arrival)
        await asyncio.sleep(0.05)
        await work(database, arrival)

    found = carry(mongo.uri(), twice, count=4, application=Application(pool_size=1))
    worked = worked_ns(profiled, 4)
    assert (worked >= 2 * WORK_MS * 1e6).all()
    response = found.rows["finished"] - found.rows["started"]
    assert (found.wait_ns <= response - worked - 49_000_000).all(), "its own pause is no wait"
    # Also who was served first: while it paused, the others had the connection.
    assert found.wait_ns.min() > WORK_MS * 1e6


def test_waits_at_the_same_time_count_once(mongo: ReplicaSet) -> None:
    async def three_at_once(database: Any, arrival: Arrival) -> None:
        await asyncio.gather(*(work(database, arrival) for _ in range(3)))

    found = carry(mongo.uri(), three_at_once, application=Application(pool_size=1))
    assert found.outcomes == ["ok"]
    # The first was served at once, the others waited for it, and the last one for the second as well.
    assert 2 * WORK_MS * 1e6 * 0.9 < found.wait_ns[0] < found.rows["finished"][0] - found.rows["started"][0]


def test_an_operation_that_asks_nothing_reached_nothing(mongo: ReplicaSet) -> None:
    async def idle(database: Any, arrival: Arrival) -> None:
        await asyncio.sleep(0)

    found = carry(mongo.uri(), idle)
    assert (found.outcomes, found.wait_ns.tolist()) == (["ok"], [-1])


def test_a_wait_that_goes_on_at_the_end_counts_until_then(mongo: ReplicaSet) -> None:
    served = 0

    async def quick_then_slow(database: Any, arrival: Arrival) -> None:
        nonlocal served
        await database.players.find_one({"_id": 1})
        served += 1
        while served < 3:  # so that all have had a connection once
            await asyncio.sleep(0.01)
        await database.players.find_one({"_id": 1, "$where": "sleep(4000) || true"})

    found = carry(mongo.uri(), quick_then_slow, count=3, application=Application(pool_size=1), drain_s=1.2)
    assert found.outcomes == ["cut_off"] * 3
    assert (found.wait_ns >= 0).all()
    assert sorted(found.wait_ns > 500_000_000) == [False, True, True]
    assert (found.rows["acquired"] <= found.rows["finished"]).all()


def test_the_telemetry_of_the_pool(mongo: ReplicaSet) -> None:
    """Open, idle and waiting while requests wait, and nothing of them afterwards, on the server as well."""
    crowd = MongoCrowd(mongo.uri(), Application(pool_size=3, time_limit_s=2.0), at_once(10))
    seen: list[tuple[int, int, int]] = []

    async def act(database: Any, arrival: Arrival) -> None:
        if arrival.index == 0:
            while (now := (source.open, source.idle, source.waiting)) != (3, 0, 6):
                seen.append(now)
                await asyncio.sleep(0.01)
            return
        await database.players.find_one({"_id": 1, "$where": "sleep(4000) || true"})

    async def carried() -> Requests:
        return await crowd.carry({"act": act})

    (source,) = crowd.crowd.sources
    found: Requests = on_the_loop(carried())
    assert found.outcomes == ["ok"] + ["time_limit"] * 9, seen
    assert all(opened <= 3 and idle <= opened for opened, idle, _ in seen)
    assert (source.open, source.idle, source.waiting) == (0, 0, 0), (
        "those that were given up on are not waiting for ever"
    )
    with MongoClient(mongo.uri()) as client:
        ours = [{"$currentOp": {"allUsers": True, "idleConnections": True}}, {"$match": {"appName": APPLICATION_NAME}}]
        until(lambda: not list(client.admin.aggregate(ours)), "the server to have no connection of the load's")


def test_each_user_has_a_client_with_one_connection(mongo: ReplicaSet) -> None:
    traffic = Traffic(phases=(Users(name="few", at_s=0, for_s=0.5, users=3),), mix={"act": 1})
    crowd = MongoCrowd(mongo.uri(), Application(connections=Connections.PER_USER), traffic)

    async def carried() -> tuple[Requests, int, list[int]]:
        await crowd.crowd.begin()
        origin = monotonic_ns() + 10_000_000
        for number in range(3):
            crowd.crowd.begin_user(number, origin, {"act": work})
        async with asyncio.timeout(20):
            while (opened := [source.open for source in crowd.crowd.sources]) != [1, 1, 1]:
                await asyncio.sleep(0.01)
            await asyncio.sleep((origin - monotonic_ns()) / 1e9 + 0.5)
        await crowd.crowd.finish(2.0)
        return crowd.requests(), len(crowd.crowd.sources), opened

    found, sources, opened = on_the_loop(carried())
    assert set(found.outcomes) == {"ok"} and len(found.outcomes) >= 3
    assert (sources, opened) == (3, [1, 1, 1])

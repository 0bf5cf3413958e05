"""The primary dies under load: what is in flight fails and is recorded, and the load goes on with the next primary."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient, WriteConcern

from harness.load.locust_side.arrival import Arrival
from harness.model import Application, Constant, MongoClientOptions, Outcome, Process, Traffic
from harness.stack.embedded import EmbeddedStack
from harness.stack.mongo.members import ReplicaSet

from .crowds import SOCKETS_OF_THE_DRIVERS, MongoCrowd, Requests, on_the_loop

pytestmark = [pytest.mark.server, SOCKETS_OF_THE_DRIVERS]

FOR_S, PER_S = 6, 40
IN_FLIGHT, DIES_AT = 38, 40
TRAFFIC = Traffic(
    phases=(Constant(name="steady", at_s=0, for_s=FOR_S, per_s=PER_S),), mix={"act": 1}, process=Process.EVEN
)


@pytest.fixture
def primary(mongo_stack: EmbeddedStack, mongo: ReplicaSet) -> Iterator[str]:
    """The name of the member that may be killed; it is back afterwards, and has what the others have."""
    with MongoClient(mongo.uri()) as client:
        client.admin.command("ping")
        (name,) = [one.name for one in mongo.members if (one.host, one.port) == client.primary]
        yield name
        mongo_stack.servers[name].start()
        everywhere = WriteConcern(w=3, wtimeout=30_000)
        client[mongo.database].get_collection("acts", write_concern=everywhere).insert_one({})
        client[mongo.database].drop_collection("acts")


@pytest.mark.parametrize("retries", [False, True], ids=["no second try", "the driver tries again"])
def test_the_primary_dies(mongo_stack: EmbeddedStack, mongo: ReplicaSet, primary: str, retries: bool) -> None:
    client = MongoClientOptions(write_concern="majority", server_selection_timeout_s=5.0, retry_writes=retries)
    crowd = MongoCrowd(mongo.uri(), Application(pool_size=10, mongo=client), TRAFFIC)

    async def act(database: Any, arrival: Arrival) -> None:
        if arrival.index == DIES_AT:
            await asyncio.to_thread(mongo_stack.servers[primary].kill)
        if arrival.index == IN_FLIGHT:
            await database.players.update_one({"_id": 1, "$where": "sleep(1500) || true"}, {"$set": {"gold": 1}})
        await database.acts.insert_one({"_id": arrival.request_id})

    async def carried() -> Requests:
        return await crowd.carry({"act": act}, drain_s=10.0)

    found: Requests = on_the_loop(carried())
    assert len(found.outcomes) == FOR_S * PER_S, "every arrival is recorded"
    assert set(found.outcomes[:IN_FLIGHT]) == {"ok"}
    assert found.outcomes[IN_FLIGHT] == ("ok" if retries else "connection_lost")
    assert set(found.outcomes[-PER_S:]) == {"ok"}, "a second's worth at the end is with the new primary"
    assert set(found.outcomes) - {"ok"} <= {"connection_lost", "connection_refused", *Outcome.INDETERMINATE}
    waited = found.rows[found.rows["finished"] - found.rows["started"] > 200_000_000]
    assert len(waited) > 10, "arrivals went on between two primaries, and waited for the election"
    assert (found.rows["started"] >= found.rows["intended"]).all()
    with MongoClient(mongo.uri()) as outside:
        there = {one["_id"] for one in outside[mongo.database].acts.find()}
    ids = [16 * arrival + 1 for arrival in range(FOR_S * PER_S)]
    acknowledged = {one for one, outcome in zip(ids, found.outcomes, strict=True) if outcome == "ok"}
    may_be = {one for one, outcome in zip(ids, found.outcomes, strict=True) if outcome in Outcome.INDETERMINATE}
    assert acknowledged <= there <= acknowledged | may_be

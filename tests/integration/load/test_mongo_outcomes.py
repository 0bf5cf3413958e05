"""Each way in which a request on MongoDB can end, provoked on a real replica set; and what is in the data afterwards."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import InsertOne, MongoClient, WriteConcern
from pymongo.database import Database
from pymongo.errors import OperationFailure

from harness.load.locust_side.arrival import Arrival
from harness.load.locust_side.driver import APPLICATION_NAME
from harness.model import Application, Constant, MongoClientOptions, Outcome, Process, Traffic
from harness.record.format import NOT_REACHED
from harness.stack.embedded import EmbeddedStack
from harness.stack.mongo.members import ReplicaSet

from .crowds import SOCKETS_OF_THE_DRIVERS, carry

pytestmark = [pytest.mark.server, SOCKETS_OF_THE_DRIVERS]

NO_RETRIES = Application(pool_size=4, mongo=MongoClientOptions(retry_writes=False, retry_reads=False))


@pytest.fixture
def database(mongo: ReplicaSet) -> Iterator[Database[Any]]:
    """The same database as seen by somebody else."""
    with MongoClient(mongo.uri()) as client:
        found = client[mongo.database]
        yield found
        found.drop_collection("acts")


@contextmanager
def failing(database: Database[Any], command: str, **how: Any) -> Iterator[None]:
    """The primary fails the load's next commands of a kind."""
    point = {"configureFailPoint": "failCommand"}
    data = {"failCommands": [command], "appName": APPLICATION_NAME, **how}
    database.client.admin.command({**point, "mode": "alwaysOn", "data": data})
    try:
        yield
    finally:
        database.client.admin.command({**point, "mode": "off"})


async def insert(database: Any, arrival: Arrival) -> None:
    await database.acts.insert_one({"_id": arrival.request_id})


async def insert_the_same(database: Any, arrival: Arrival) -> None:
    await database.acts.insert_one({"_id": "same"})


async def sleep_on_the_server(database: Any, arrival: Arrival) -> None:
    await database.players.find_one({"_id": 1, "$where": "sleep(300) || true"})


async def fetch(database: Any, arrival: Arrival) -> None:
    await database.players.find_one({"_id": 1})


def test_all_is_well(mongo: ReplicaSet, database: Database[Any]) -> None:
    found = carry(mongo.uri(), insert, count=20)
    assert set(found.outcomes) == {"ok"}
    assert (found.wait_ns >= 0).all() and (found.rows["acquired"] <= found.rows["finished"]).all()
    assert {act["_id"] for act in database.acts.find()} == {16 * arrival + 1 for arrival in range(20)}


def test_duplicate_key(mongo: ReplicaSet, database: Database[Any]) -> None:
    found = carry(mongo.uri(), insert_the_same, count=5)
    assert sorted(found.outcomes) == ["DuplicateKey"] * 4 + ["ok"]
    assert "dup key" in found.failures[0]["message"] and '"keyValue"' in found.failures[0]["detail"]


def test_duplicate_key_among_several_writes(mongo: ReplicaSet, database: Database[Any]) -> None:
    async def act(database: Any, arrival: Arrival) -> None:
        await database.acts.bulk_write([InsertOne({"_id": 1}), InsertOne({"_id": 1})])

    assert carry(mongo.uri(), act).outcomes == ["DuplicateKey"]
    assert database.acts.count_documents({}) == 1


def test_a_rule_of_the_collection(mongo: ReplicaSet, database: Database[Any]) -> None:
    database.create_collection("acts", validator={"gold": {"$gte": 0}})

    async def act(database: Any, arrival: Arrival) -> None:
        await database.acts.insert_one({"gold": -1})

    assert carry(mongo.uri(), act).outcomes == ["DocumentValidationFailure"]


def test_transactions_that_conflict(mongo: ReplicaSet, database: Database[Any]) -> None:
    database.acts.insert_one({"_id": 1, "count": 0})

    conflicts = 0

    async def act(database: Any, arrival: Arrival) -> None:
        nonlocal conflicts
        async with database.client.start_session() as session, await session.start_transaction():
            try:
                await database.acts.update_one({"_id": 1}, {"$inc": {"count": 1}}, session=session)
            except OperationFailure:
                conflicts += 1
                raise
            while conflicts < 2:  # the first commits when the others have tried
                await asyncio.sleep(0.01)

    found = carry(mongo.uri(), act, count=3)
    assert sorted(found.outcomes) == ["WriteConflict", "WriteConflict", "ok"]
    one = database.acts.find_one({"_id": 1})
    assert one is not None and one["count"] == 1


def test_the_servers_time_limit(mongo: ReplicaSet, database: Database[Any]) -> None:
    async def act(database: Any, arrival: Arrival) -> None:
        await database.players.find_one({"_id": 1, "$where": "sleep(5000) || true"}, max_time_ms=50)

    found = carry(mongo.uri(), act)
    assert found.outcomes == ["MaxTimeMSExpired"]
    assert found.rows["finished"][0] - found.rows["started"][0] < 4_000_000_000


def test_an_error_that_the_server_has_a_name_for(mongo: ReplicaSet, database: Database[Any]) -> None:
    async def act(database: Any, arrival: Arrival) -> None:
        await database.command({"noSuchCommand": 1})

    assert carry(mongo.uri(), act).outcomes == ["CommandNotFound"]


def test_a_write_that_is_not_confirmed_in_time_is_there(
    mongo: ReplicaSet, mongo_stack: EmbeddedStack, database: Database[Any]
) -> None:
    client = MongoClientOptions(write_concern=3, wtimeout_s=0.3)
    secondary = mongo_stack.servers["mongo-3"]
    secondary.pause()
    try:
        found = carry(mongo.uri(), insert, application=Application(mongo=client))
        assert found.outcomes == ["wtimeout"]
        assert found.rows["finished"][0] - found.rows["started"][0] >= 300_000_000
        assert database.acts.count_documents({}) == 1
    finally:
        secondary.resume()
    database.get_collection("acts", write_concern=WriteConcern(w=3, wtimeout=20_000)).insert_one({})
    assert Outcome.WTIMEOUT in Outcome.INDETERMINATE


def test_a_write_that_cannot_be_confirmed_is_there(mongo: ReplicaSet, database: Database[Any]) -> None:
    async def act(database: Any, arrival: Arrival) -> None:
        acts = database.with_options(write_concern=WriteConcern(w=5)).acts
        await acts.insert_one({"_id": arrival.request_id})

    found = carry(mongo.uri(), act)
    assert found.outcomes == ["unconfirmed"]
    assert "UnsatisfiableWriteConcern" in found.failures[0]["detail"]
    assert database.acts.count_documents({}) == 1
    assert Outcome.UNCONFIRMED in Outcome.INDETERMINATE


def test_a_member_that_is_not_the_primary(mongo: ReplicaSet, database: Database[Any]) -> None:
    database.client.admin.command("ping")
    (secondary, *_) = [one for one in mongo.members if (one.host, one.port) in database.client.secondaries]
    found = carry(mongo.uri_of(secondary), insert, application=NO_RETRIES)
    assert found.outcomes == ["NotWritablePrimary"]


def test_a_connection_that_the_server_closes(mongo: ReplicaSet, database: Database[Any]) -> None:
    with failing(database, "insert", closeConnection=True):
        assert carry(mongo.uri(), insert, application=NO_RETRIES).outcomes == ["connection_lost"]


def test_the_drivers_own_second_try_is_hidden_in_the_service_time(mongo: ReplicaSet, database: Database[Any]) -> None:
    point = {"configureFailPoint": "failCommand", "mode": {"times": 1}}
    data = {"failCommands": ["insert"], "appName": APPLICATION_NAME, "closeConnection": True}
    database.client.admin.command({**point, "data": data})
    assert carry(mongo.uri(), insert).outcomes == ["ok"]
    assert database.acts.count_documents({}) == 1


def test_an_answer_that_does_not_come(mongo: ReplicaSet, database: Database[Any]) -> None:
    client = MongoClientOptions(socket_timeout_s=0.2, retry_reads=False)
    found = carry(mongo.uri(), sleep_on_the_server, application=Application(mongo=client))
    assert found.outcomes == ["connection_lost"]


def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        uri = f"mongodb://127.0.0.1:{unused.getsockname()[1]}/crowd"
        client = MongoClientOptions(server_selection_timeout_s=0.3)
        found = carry(uri, insert, count=3, application=Application(mongo=client))
    assert found.outcomes == ["no_server"] * 3
    assert (found.rows["acquired"] == NOT_REACHED).all()
    assert (found.rows["finished"] - found.rows["started"] >= 290_000_000).all()


def test_waited_too_long_for_a_connection(mongo: ReplicaSet, database: Database[Any]) -> None:
    found = carry(
        mongo.uri(), sleep_on_the_server, count=4, application=Application(pool_size=1, pool_wait_limit_s=0.1)
    )
    assert sorted(found.outcomes) == ["ok"] + ["pool_timeout"] * 3
    timed_out = found.rows[[name == "pool_timeout" for name in found.outcomes]]
    assert (timed_out["acquired"] == NOT_REACHED).all()
    assert (timed_out["finished"] - timed_out["started"] >= 95_000_000).all()


def test_the_applications_time_limit_costs_nobody_a_connection(mongo: ReplicaSet, database: Database[Any]) -> None:
    async def act(database: Any, arrival: Arrival) -> None:
        if arrival.index:
            await fetch(database, arrival)
        else:
            await database.players.find_one({"_id": 1, "$where": "sleep(3000) || true"})

    steady = Traffic(phases=(Constant(name="steady", at_s=0, for_s=2, per_s=2),), mix={"act": 1}, process=Process.EVEN)
    found = carry(mongo.uri(), act, traffic=steady, application=Application(pool_size=1, time_limit_s=0.9))
    # The second waits for the first's connection, the others find a new one in its place.
    assert found.outcomes == ["time_limit", "ok", "ok", "ok"]


def test_what_is_in_flight_at_the_end_is_cut_off(mongo: ReplicaSet, database: Database[Any]) -> None:
    found = carry(mongo.uri(), sleep_on_the_server, count=4, application=Application(pool_size=2), drain_s=0.1)
    assert found.outcomes == ["cut_off"] * 4
    assert sorted(found.rows["acquired"] == NOT_REACHED) == [False, False, True, True]


def test_a_mistake_in_an_operation(mongo: ReplicaSet, database: Database[Any]) -> None:
    async def act(database: Any, arrival: Arrival) -> None:
        await database.acts.insert_one({"gold": object()})

    assert carry(mongo.uri(), act).outcomes == ["error:InvalidDocument"]

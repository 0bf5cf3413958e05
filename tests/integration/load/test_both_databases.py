"""One crowd on two databases: each operation works with its own, and waits for that one alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
import pytest
from pymongo import MongoClient

from harness.load.locust_side.arrival import Arrival
from harness.model import Application, Constant, MongoClientOptions, Traffic
from harness.stack.mongo.members import ReplicaSet
from harness.stack.postgres.endpoint import Endpoint

from .crowds import MongoCrowd, Requests, on_the_loop

pytestmark = pytest.mark.server

TRAFFIC = Traffic(phases=(Constant(name="steady", at_s=0, for_s=1, per_s=60),), mix={"craft": 1, "save": 1})


def test_each_operation_on_its_own(postgres: Endpoint, mongo: ReplicaSet) -> None:
    application = Application(pool_size=1, mongo=MongoClientOptions(pool_size=8))
    dsn = postgres.dsn(user=postgres.application_user)
    crowd = MongoCrowd(mongo.uri(), application, TRAFFIC, dsn=dsn, on_postgres=["craft"])

    async def craft(connection: Any, arrival: Arrival) -> None:
        await connection.execute("INSERT INTO made VALUES ($1)", arrival.request_id)
        await connection.execute("SELECT pg_sleep(0.06)")

    async def save(database: Any, arrival: Arrival) -> None:
        await database.made.insert_one({"_id": arrival.request_id})

    async def carried() -> Requests:
        return await crowd.carry({"craft": craft, "save": save})

    with psycopg.connect(postgres.dsn(), autocommit=True) as connection, MongoClient(mongo.uri()) as client:
        connection.execute("CREATE TABLE made (request_id BIGINT PRIMARY KEY)")
        connection.execute(f"GRANT ALL ON made TO {postgres.application_user}")
        found: Requests = on_the_loop(carried())
        in_postgres = {row[0] for row in connection.execute("SELECT request_id FROM made")}
        in_mongo = {one["_id"] for one in client[mongo.database].made.find()}
        client[mongo.database].made.drop()
    assert set(found.outcomes) == {"ok"}
    by_operation = {
        name: {16 * int(index) + 1 for index in found.rows["arrival"][found.rows["operation"] == code]}
        for name, code in crowd.recorder.operations.numbers.items()
    }
    assert by_operation == {"craft": in_postgres, "save": in_mongo}
    # Thirty crafts of 60 ms over one connection take twice the time that they come in; the saves do not wait for it.
    waits = {
        name: found.wait_ns[found.rows["operation"] == code] for name, code in crowd.recorder.operations.numbers.items()
    }
    assert np.median(waits["craft"]) > 10 * np.median(waits["save"])

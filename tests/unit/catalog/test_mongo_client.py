"""What the driver would refuse of an application's options in the middle of a run is refused before anything starts."""

from dataclasses import replace
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from harness.catalog.mongo_client import mongo_client_problem
from harness.load.locust_side.mongo import client_options
from harness.model import Application, MongoClientOptions, MongoReplicaSet, ReadPreference, Topology

MONGO = Topology(postgres=None, mongo=MongoReplicaSet())
NEAREST = ReadPreference.NEAREST

GOOD: dict[str, dict[str, Any]] = {
    "nothing said": {},
    "majority": {"write_concern": "majority", "wtimeout_s": 0.5, "journal": True},
    "not waited for": {"write_concern": 0},
    "stale secondaries": {"read_preference": NEAREST, "max_staleness_s": 90},
    "limits": {"server_selection_timeout_s": 0.001, "connect_timeout_s": 1, "socket_timeout_s": 2.5},
    "pools": {"pool_size": 1, "max_connecting": 1},
    "read concern": {"read_concern": "linearizable"},
}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no connection": ({"pool_size": 0}, "pool_size"),
    "none at a time": ({"max_connecting": 0}, "max_connecting"),
    "no time": ({"wtimeout_s": 0.0}, "wtimeout_s"),
    "less than the driver counts": ({"socket_timeout_s": 0.0004}, "socket_timeout_s"),
    "finer than members see each other": ({"read_preference": NEAREST, "max_staleness_s": 89}, "max_staleness_s"),
    "a stale primary": ({"max_staleness_s": 120}, "max_staleness_s"),
    "mistyped read concern": ({"read_concern": "majorty"}, "read_concern"),
    "fewer than no members": ({"write_concern": -1}, "write_concern"),
    "no tag": ({"write_concern": ""}, "write_concern"),
    "not waited for, for so long": ({"write_concern": 0, "wtimeout_s": 1.0}, "write_concern"),
}


@pytest.mark.parametrize("options", GOOD.values(), ids=GOOD.keys())
async def test_what_is_right_is_what_the_driver_takes(options: dict[str, Any]) -> None:
    declared = MongoClientOptions(**options)
    assert mongo_client_problem(declared, MONGO) is None
    told = client_options(Application(mongo=declared), 3)
    await AsyncMongoClient("mongodb://localhost/x", connect=False, **told).close()


@pytest.mark.parametrize(("options", "field"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_refused(options: dict[str, Any], field: str) -> None:
    problem = mongo_client_problem(MongoClientOptions(**options), MONGO)
    assert problem is not None and problem.field == f"application.mongo.{field}"


def test_options_of_a_server_that_is_not_there() -> None:
    problem = mongo_client_problem(MongoClientOptions(write_concern=1), replace(MONGO, mongo=None))
    assert problem is not None and problem.field == "application.mongo"

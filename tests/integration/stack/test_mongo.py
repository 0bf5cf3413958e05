"""A replica set of real mongods: whole when it is up, as seeded after a reset, acted upon, and nothing left of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pymongo import MongoClient, WriteConcern

from fixtures.players import COLLECTION, size
from harness.stack.embedded import EmbeddedStack
from harness.stack.mongo import ReplicaSet
from harness.stack.stack import Footprint, Role
from tests.integration.conftest import SCALE

pytestmark = pytest.mark.server


@pytest.fixture
def whole(mongo: ReplicaSet) -> Iterator[MongoClient]:
    """A client of the whole set."""
    with MongoClient(mongo.uri()) as client:
        yield client


def test_the_first_member_is_the_primary_and_all_others_follow(mongo: ReplicaSet, whole: MongoClient) -> None:
    first = mongo.members[0]
    assert [member.name for member in mongo.members] == ["mongo-1", "mongo-2", "mongo-3"]
    status = whole.admin.command("replSetGetStatus")
    assert [(one["name"], one["stateStr"]) for one in status["members"]] == [
        (f"{member.host}:{member.port}", "PRIMARY" if member is first else "SECONDARY") for member in mongo.members
    ]
    assert status["votingMembersCount"] == 3


def test_every_member_has_the_dataset_and_takes_what_is_written(mongo: ReplicaSet, whole: MongoClient) -> None:
    everywhere = WriteConcern(w=3, wtimeout=10_000)
    whole[mongo.database].get_collection("marks", write_concern=everywhere).insert_one({"mark": 1})
    for member in mongo.members:
        with MongoClient(mongo.uri_of(member)) as client:
            database = client[mongo.database]
            assert database[COLLECTION].count_documents({}) == size(SCALE)
            assert set(database[COLLECTION].index_information()) == {"_id_", "level_1_alliance_1"}
            assert database["marks"].count_documents({}) == 1


def test_servers_are_known_by_name_and_process(mongo_stack: EmbeddedStack, mongo: ReplicaSet) -> None:
    assert list(mongo_stack.servers) == [member.name for member in mongo.members]
    for member in mongo.members:
        server = mongo_stack.servers[member.name]
        with MongoClient(mongo.uri_of(member)) as client:
            pid = client.admin.command("serverStatus")["pid"]
        assert server.footprint() == Footprint(pid=pid, confined=False, cpus=1)
        assert server.role is Role.MEMBER

"""A replica set of real mongods: whole when it is up, as seeded after a reset, acted upon, and nothing left of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient, WriteConcern

from fixtures.players import COLLECTION, size
from harness.stack.embedded import EmbeddedStack
from harness.stack.mongo.members import ReplicaSet
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


# --- reset


def everything(mongo: ReplicaSet) -> list[dict[str, object]]:
    """What a reset must put back, as each member has it."""
    found = []
    for member in mongo.members:
        with MongoClient(mongo.uri_of(member)) as client:
            config = client.admin.command("replSetGetConfig")["config"]
            parameters = client.admin.command("getParameter", "*")
            found.append(
                {
                    "data": client[mongo.database].command("dbHash")["collections"],
                    "indexes": client[mongo.database][COLLECTION].index_information(),
                    "databases": sorted(client.list_database_names()),
                    "users": client.admin.command("usersInfo")["users"],
                    "slow": client[mongo.database].command("profile", -1)["slowms"],
                    "ttl": parameters["ttlMonitorSleepSecs"],
                    "failpoints": {
                        name: value["mode"] for name, value in parameters.items() if name.startswith("failpoint.")
                    },
                    "members": config["members"],
                    "settings": {**config["settings"], "replicaSetId": None},
                    "state": client.admin.command("replSetGetStatus")["myState"],
                }
            )
    return found


def test_a_reset_undoes_everything_on_every_member(mongo_stack: EmbeddedStack) -> None:
    mongo_stack.reset()
    mongo = mongo_stack.mongo
    assert mongo is not None
    before = everything(mongo)
    first, second, third = mongo_stack.servers.values()
    running = [server.footprint() for server in (first, second, third)]
    mongo_stack.reset(used=False)
    assert [server.footprint() for server in (first, second, third)] == running, "nobody has used it: it goes on"
    with MongoClient(mongo.uri(), w=3, wTimeoutMS=10_000) as client:
        players = client[mongo.database][COLLECTION]
        players.delete_many({"level": 7})
        players.update_many({"level": 8}, {"$inc": {"gold": 1}})
        players.drop_index("level_1_alliance_1")
        players.create_index("gold")
        client["elsewhere"]["things"].insert_one({"thing": 1})
        client.admin.command("createUser", "somebody", pwd="secret", roles=["readAnyDatabase"])
        config = client.admin.command("replSetGetConfig")["config"]
        config["members"][0]["priority"] = 5  # the primary's: no other stands for election meanwhile
        config["version"] += 1
        client.admin.command("replSetReconfig", config)
    for member in mongo.members:
        with MongoClient(mongo.uri_of(member)) as client:
            client.admin.command("setParameter", 1, ttlMonitorSleepSecs=7)
            client.admin.command("configureFailPoint", "hangAfterStartingIndexBuild", mode="alwaysOn")
            client[mongo.database].command("profile", 0, slowms=5)
    changed = everything(mongo)
    same = {name for one, other in zip(before, changed, strict=True) for name in one if one[name] == other[name]}
    assert same <= {"settings", "state"}  # else nothing would be shown to be put back
    first.kill()
    third.pause()
    mongo_stack.reset()
    assert everything(mongo) == before
    assert not {server.footprint() for server in (first, second, third)} & set(running), "other processes"
    assert [server.down_on_purpose for server in (first, second, third)] == [False] * 3
    assert mongo_stack.check_alive() is None
    with MongoClient(mongo.uri(), w=3, wTimeoutMS=10_000) as client:
        client[mongo.database]["marks"].insert_one({"mark": 1})


def test_logs_are_saved_from_the_last_reset_on(mongo_stack: EmbeddedStack, mongo: ReplicaSet, tmp_path: Path) -> None:
    with MongoClient(mongo.uri_of(mongo.members[1])) as client:
        client.admin.command("ping")
    mongo_stack.save_logs(tmp_path / "logs")
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == [f"mongo-{n}.log" for n in (1, 2, 3)]
    lines = [json.loads(line) for line in (tmp_path / "logs" / "mongo-2.log").read_text().splitlines()]
    assert "MongoDB starting" not in [line["msg"] for line in lines]
    assert "Connection accepted" in [line["msg"] for line in lines]

"""Actions on a replica set: what each does and what is left after its undoing, by clients of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pymongo
import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect

from harness.errors import StackError
from harness.model import CreateMongoIndex, DropMongoIndex, Failpoint, FlushCache, Pause, RunCommand, Stop
from harness.stack.embedded import EmbeddedStack
from harness.stack.mongo.members import Member, ReplicaSet
from harness.timeline import members
from tests.integration.timeline.conftest import Actions, broken_off, until

pytestmark = pytest.mark.server

HANG = "hangAfterStartingIndexBuild"


@pytest.fixture
def actions(mongo_stack: EmbeddedStack, mongo: ReplicaSet, on: Callable[..., Actions]) -> Actions:
    return on(mongo_stack)


@contextmanager
def client(uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=10_000) as opened:
        yield opened


@pytest.fixture
def collection(mongo: ReplicaSet) -> Iterator[str]:
    """A collection with an index of two fields, gone afterwards."""
    with client(mongo.uri()) as opened:
        made = opened[mongo.database]["of_timeline"]
        made.insert_many([{"level": number % 7, "alliance": number % 11} for number in range(500)])
        made.create_index([("level", 1), ("alliance", -1)], name="old", sparse=True)
        yield made.name
        made.drop()


def indexes(mongo: ReplicaSet, collection: str) -> dict[str, dict[str, Any]]:
    """Its indexes by name, as its primary lists them."""
    with client(mongo.uri()) as opened:
        return {index["name"]: dict(index) for index in opened[mongo.database][collection].list_indexes()}


def parameter(mongo: ReplicaSet, member: Member, name: str) -> Any:
    with client(mongo.uri_of(member)) as opened:
        return opened.admin.command({"getParameter": 1, name: 1})[name]


def failpoint(mongo: ReplicaSet, member: Member) -> int:
    return int(parameter(mongo, member, f"failpoint.{HANG}")["mode"])


def primary(mongo: ReplicaSet) -> str:
    """Name of the member that the driver takes for primary."""
    with client(mongo.uri()) as opened:
        opened.admin.command("ping")
        return next(member.name for member in mongo.members if (member.host, member.port) == opened.primary)


async def test_an_index_is_created_and_dropped_again(actions: Actions, mongo: ReplicaSet, collection: str) -> None:
    creating = actions.of(
        CreateMongoIndex(
            collection=collection,
            name="new",
            keys={"alliance": 1, "level": -1},
            options={"partialFilterExpression": {"level": {"$gt": 3}}},
            commit_quorum=1,
            write_concern={"w": 1},
        )
    )
    done = await creating.act()
    assert done.servers == (primary(mongo),)
    made = indexes(mongo, collection)["new"]
    assert list(made["key"].items()) == [("alliance", 1), ("level", -1)]
    assert made["partialFilterExpression"] == {"level": {"$gt": 3}}
    assert await creating.undo() is True
    assert set(indexes(mongo, collection)) == {"_id_", "old"}
    assert await creating.undo() is False


async def test_an_index_that_was_there_before_is_not_dropped(
    actions: Actions, mongo: ReplicaSet, collection: str
) -> None:
    creating = actions.of(CreateMongoIndex(collection=collection, name="old", keys={"level": 1}))
    with pytest.raises(StackError, match="has an index old already"):
        await creating.act()
    assert await creating.undo() is False
    assert "old" in indexes(mongo, collection)


async def test_an_index_is_dropped_and_created_again_as_it_was(
    actions: Actions, mongo: ReplicaSet, collection: str
) -> None:
    before = indexes(mongo, collection)
    dropping = actions.of(DropMongoIndex(collection=collection, name="old", write_concern={"w": "majority"}))
    await dropping.act()
    assert set(indexes(mongo, collection)) == {"_id_"}
    assert await dropping.undo() is True
    assert indexes(mongo, collection) == before


async def test_a_failpoint_is_set_on_the_secondaries_and_off_again(actions: Actions, mongo: ReplicaSet) -> None:
    setting = actions.of(Failpoint(name=HANG, server="mongo-secondaries"))
    done = await setting.act()
    leader = primary(mongo)
    assert set(done.servers) == {member.name for member in mongo.members} - {leader}
    assert {member.name: failpoint(mongo, member) for member in mongo.members} == {
        member.name: int(member.name != leader) for member in mongo.members
    }
    assert await setting.undo() is True
    assert [failpoint(mongo, member) for member in mongo.members] == [0, 0, 0]


async def test_a_build_that_is_held_is_broken_off_by_its_undoing(
    actions: Actions, mongo: ReplicaSet, collection: str
) -> None:
    holding = actions.of(Failpoint(name=HANG, server="mongo-primary"))
    await holding.act()
    creating = actions.of(CreateMongoIndex(collection=collection, name="held", keys={"alliance": 1}))
    act = asyncio.create_task(creating.act())
    await until(lambda: builds(mongo), "the build has begun")
    await broken_off(act)
    undoing = asyncio.create_task(creating.undo())
    # dropIndexes waits until the build notices, which it does once it is let go
    assert await holding.undo() is True
    assert await undoing is True
    await until(lambda: not builds(mongo), "no build is left")
    assert set(indexes(mongo, collection)) == {"_id_", "old"}


def builds(mongo: ReplicaSet) -> list[dict[str, Any]]:
    """Index builds that the primary works at."""
    with client(mongo.uri()) as opened:
        return list(opened.admin.aggregate([{"$currentOp": {}}, {"$match": {"msg": {"$regex": "^Index Build"}}}]))


async def test_a_command_is_run_on_each_member_and_its_undo(actions: Actions, mongo: ReplicaSet) -> None:
    name = "cursorTimeoutMillis"
    before = [parameter(mongo, member, name) for member in mongo.members]
    running = actions.of(
        RunCommand(
            command={"setParameter": 1, name: 54321},
            undo={"setParameter": 1, name: before[0]},
            database="admin",
            server="mongo-secondaries",
        )
    )
    done = await running.act()
    changed = {member.name for member in mongo.members if parameter(mongo, member, name) == 54321}
    assert changed == set(done.servers) == {member.name for member in mongo.members} - {primary(mongo)}
    assert await running.undo() is True
    assert [parameter(mongo, member, name) for member in mongo.members] == before


async def test_a_command_that_is_not_replicated_as_asked_fails(actions: Actions, mongo: ReplicaSet) -> None:
    insert = {
        "insert": "of_timeline_too",
        "documents": [{"_id": 1}],
        "writeConcern": {"w": "no such tag", "wtimeout": 100},
    }
    running = actions.of(RunCommand(command=insert, undo={"drop": "of_timeline_too"}))
    with pytest.raises(StackError, match="done, but not replicated as asked"):
        await running.act()
    assert await running.undo() is True, "it was done all the same"


async def test_who_is_primary_is_found_beside_a_member_that_hangs(
    actions: Actions, mongo_stack: EmbeddedStack, mongo: ReplicaSet
) -> None:
    leader = primary(mongo)
    hanging = next(member.name for member in mongo.members if member.name != leader)
    pausing = actions.of(Pause(server=hanging))
    await pausing.act()
    (found,) = await members.resolve(mongo_stack, "mongo-primary")
    secondaries = await members.resolve(mongo_stack, "mongo-secondaries")
    assert await pausing.undo() is True
    assert found.name == leader
    assert hanging not in {member.name for member in secondaries} and len(secondaries) == 1


async def test_a_command_that_is_refused_fails(actions: Actions) -> None:
    with pytest.raises(pymongo.errors.OperationFailure, match="no such command"):
        await actions.of(RunCommand(command={"noSuchCommand": 1}, server="mongo-2")).act()


async def test_the_primary_is_who_is_primary_at_that_moment(
    actions: Actions, mongo_stack: EmbeddedStack, mongo: ReplicaSet
) -> None:
    first = primary(mongo)
    stopping = actions.of(Stop(server="mongo-primary"))
    assert (await stopping.act()).servers == (first,)
    assert mongo_stack.check_alive() is None, "it is down on purpose"
    (second,) = await members.resolve(mongo_stack, "mongo-primary")
    assert second.name != first
    assert primary(mongo) == second.name
    assert await stopping.undo() is True
    (member,) = [one for one in mongo.members if one.name == first]

    def takes_part() -> bool:
        try:
            with client(mongo.uri_of(member)) as opened:
                said = opened.admin.command("hello")
        except AutoReconnect:
            return False
        return bool(said["secondary"] or said["isWritablePrimary"])

    await until(takes_part, f"{first} takes part again")
    restarting = actions.of(FlushCache(server=first, restart=True))
    with client(mongo.uri_of(member)) as opened:
        before = opened.admin.command("serverStatus")["pid"]
    await restarting.act()
    with client(mongo.uri_of(member)) as opened:
        assert opened.admin.command("serverStatus")["pid"] != before
    mongo_stack.reset()

"""What a timeline does to members of a replica set: stopped, killed, paused, given other cores, and the set that goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from fixtures.players import COLLECTION
from harness.errors import StackError
from harness.stack import cores
from harness.stack.embedded import EmbeddedStack
from harness.stack.mongo import replica_set
from harness.stack.mongo.members import ReplicaSet
from harness.stack.stack import Server

pytestmark = pytest.mark.server

LIMIT_S = 90.0


def await_true(what: str, there: Callable[[], bool]) -> None:
    ends = time.monotonic() + LIMIT_S
    while not there():
        assert time.monotonic() < ends, f"waited {LIMIT_S:.0f} s for {what}"
        time.sleep(0.02)


@pytest.fixture
def servers(mongo_stack: EmbeddedStack, mongo: ReplicaSet) -> dict[str, Server]:
    """The members by name."""
    return dict(mongo_stack.servers)


@pytest.fixture
def direct(mongo: ReplicaSet) -> Iterator[dict[str, MongoClient]]:
    """A client of each member by its name."""
    clients = {
        member.name: MongoClient(mongo.uri_of(member), serverSelectionTimeoutMS=500, socketTimeoutMS=500)
        for member in mongo.members
    }
    yield clients
    for client in clients.values():
        client.close()


def state(client: MongoClient) -> str:
    try:
        hello = client.admin.command("hello")
    except PyMongoError:
        return "silent"
    return "primary" if hello["isWritablePrimary"] else "secondary" if hello["secondary"] else "neither"


def test_a_stopped_primary_is_succeeded_and_comes_back(
    mongo_stack: EmbeddedStack, mongo: ReplicaSet, servers: dict[str, Server], direct: dict[str, MongoClient]
) -> None:
    first = servers["mongo-1"]
    before = first.footprint()
    first.stop()
    assert (first.footprint(), first.down_on_purpose, mongo_stack.check_alive()) == (None, True, None)
    with pytest.raises(StackError, match="mongo-1 is down already"):
        first.stop()
    await_true("another primary", lambda: "primary" in [state(direct[name]) for name in ("mongo-2", "mongo-3")])
    with MongoClient(mongo.uri()) as client:
        client[mongo.database]["failover"].insert_one({"written": "meanwhile"})
    first.start()
    assert first.footprint() is not None
    assert first.footprint() != before
    assert not first.down_on_purpose
    await_true("the write to be there", lambda: state(direct["mongo-1"]) == "secondary" and bool(
        direct["mongo-1"][mongo.database]["failover"].count_documents({})
    ))  # fmt: skip
    with pytest.raises(StackError, match="mongo-1 runs"):
        first.start()
    replica_set.step_up(f"{mongo.members[0].host}:{mongo.members[0].port}", lambda: None)
    await_true("the first to be the only primary", lambda: [state(direct[name]) for name in sorted(direct)] == [
        "primary", "secondary", "secondary"
    ])  # fmt: skip


def test_a_killed_member_comes_back(
    mongo_stack: EmbeddedStack, servers: dict[str, Server], direct: dict[str, MongoClient]
) -> None:
    third = servers["mongo-3"]
    third.kill()
    assert (state(direct["mongo-3"]), mongo_stack.check_alive()) == ("silent", None)
    third.start()
    await_true("it to be a secondary", lambda: state(direct["mongo-3"]) == "secondary")


def test_a_member_that_died_is_told_with_its_last_lines(
    mongo_stack: EmbeddedStack, servers: dict[str, Server], direct: dict[str, MongoClient]
) -> None:
    third = servers["mongo-3"]
    process = psutil.Process(third.footprint().pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    died = mongo_stack.check_alive()
    assert died is not None
    assert died.startswith("mongo-3: ")
    assert "SIGKILL" in died
    assert "Connection" in died  # of its log, in words
    for action in (third.pause, third.stop, third.kill):  # what cannot be done hides no death
        with pytest.raises(StackError, match="mongo-3 is down already"):
            action()
    assert mongo_stack.check_alive() == died
    third.start()
    assert mongo_stack.check_alive() is None
    await_true("it to be a secondary", lambda: state(direct["mongo-3"]) == "secondary")


def test_a_paused_member_hangs_and_goes_on(
    mongo_stack: EmbeddedStack, servers: dict[str, Server], direct: dict[str, MongoClient]
) -> None:
    second = servers["mongo-2"]
    second.pause()
    await_true("it to stand still", lambda: psutil.Process(second.footprint().pid).status() == psutil.STATUS_STOPPED)
    assert (state(direct["mongo-2"]), second.down_on_purpose, mongo_stack.check_alive()) == ("silent", True, None)
    second.resume()
    assert not second.down_on_purpose
    await_true("it to answer", lambda: state(direct["mongo-2"]) == "secondary")


def test_a_member_gets_other_cores(servers: dict[str, Server]) -> None:
    own = cores.own_cores()
    if own is None or len(own) < 2:
        pytest.skip("needs two cores that can be held to")
    third = servers["mongo-3"]

    def held() -> set[frozenset[int]]:
        tasks = Path(f"/proc/{third.footprint().pid}/task").iterdir()
        return {frozenset(os.sched_getaffinity(int(task.name))) for task in tasks}

    assert held() == {frozenset(own[-1:])}
    third.set_cpus(2)
    assert held() == {frozenset(own[-2:])}
    assert third.footprint().cpus == 2
    third.set_cpus(1)
    assert held() == {frozenset(own[-1:])}
    with pytest.raises(StackError, match="cannot be allotted"):
        third.set_cpus(len(own) + 1)


def test_what_cannot_be_done_here_says_what_can(servers: dict[str, Server]) -> None:
    second = servers["mongo-2"]
    for action in (second.cut_off, second.rejoin):
        with pytest.raises(StackError, match="--stack docker"):
            action()
    assert "--stack docker" in second.why_not("cut_off")
    assert second.why_not("pause") is None


def test_a_member_stops_though_an_index_build_is_held(
    mongo: ReplicaSet, servers: dict[str, Server], direct: dict[str, MongoClient]
) -> None:
    third = servers["mongo-3"]
    direct["mongo-3"].admin.command("configureFailPoint", "hangAfterStartingIndexBuild", mode="alwaysOn")
    with MongoClient(mongo.uri()) as client:
        client[mongo.database].command(
            "createIndexes",
            COLLECTION,
            indexes=[{"key": {"gold": 1}, "name": "gold"}],
            commitQuorum=1,
            writeConcern={"w": 1},
        )

    def held() -> bool:
        pipeline = [{"$currentOp": {"allUsers": True}}, {"$match": {"msg": {"$regex": "^Index Build"}}}]
        return bool(list(direct["mongo-3"].admin.aggregate(pipeline)))

    await_true("the build to be held", held)
    process = psutil.Process(third.footprint().pid)
    third.stop()
    assert not process.is_running()
    third.start()
    await_true("the index to be there", lambda: state(direct["mongo-3"]) == "secondary" and "gold" in (
        direct["mongo-3"][mongo.database][COLLECTION].index_information()
    ))  # fmt: skip

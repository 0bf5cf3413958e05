"""What the probes say of a replica set, against its own word, on conditions that are provoked."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import psutil
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from harness.clock import Origin
from harness.model import Sample
from harness.probes.mongo import MongoProbes, mongo_probes
from harness.probes.mongo.connection import APPLICATION_NAME, MOST_CONNECTIONS
from harness.probes.probe import FAILURES, Probe
from harness.probes.probe_set import footprints
from harness.probes.usage import UsageProbe
from harness.stack.embedded import EmbeddedStack
from harness.stack.mongo.members import ReplicaSet
from tests.integration.probes.conftest import total, until

pytestmark = pytest.mark.server

Client: TypeAlias = AsyncMongoClient[dict[str, Any]]
LAG = "mongodb_mongod_replset_member_replication_lag"
BEAT_LAG = "flashcrowd_mongodb_heartbeat_lag_seconds"
STATE = "mongodb_rs_members_state"
NAMES = ("mongo-1", "mongo-2", "mongo-3")


@pytest.fixture
async def probes(mongo: ReplicaSet, tmp_path: Path) -> AsyncIterator[MongoProbes]:
    """The probes of the replica set, with ``tmp_path`` as run folder."""
    async with mongo_probes(mongo, tmp_path, Origin.after(0)) as found:
        yield found


@pytest.fixture
async def members(mongo: ReplicaSet) -> AsyncIterator[dict[str, Client]]:
    """A client for each member alone, as the application's."""
    async with AsyncExitStack() as closing:
        found = {}
        for member in mongo.members:
            client: Client = AsyncMongoClient(mongo.uri_of(member), appname="crowd", serverSelectionTimeoutMS=5000)
            found[member.name] = await closing.enter_async_context(client)
        yield found


def _probe(probes: MongoProbes, name: str) -> Probe:
    [found] = [one for one in probes.probes if one.name == name]
    return found


async def _of(probes: MongoProbes, member: str, metric: str, **labels: str) -> float:
    return total(await _probe(probes, member).sample(0.0), metric, **labels)


async def _replication(probes: MongoProbes) -> list[Sample]:
    return list(await _probe(probes, "mongo-replication").sample(0.0))


def _by_member(samples: Sequence[Sample], metric: str) -> dict[str, float]:
    return {sample.labels["member"]: sample.value for sample in samples if sample.metric == metric}


async def _keeps_up(probes: MongoProbes, member: str) -> bool:
    return _by_member(await _replication(probes), LAG)[member] < 1


@asynccontextmanager
async def _sleepers(client: Client, count: int, for_ms: int) -> AsyncIterator[None]:
    """Finds that take a while each, holding a ticket."""
    collection = client["probed"]["one"]
    await collection.replace_one({"_id": 1}, {"_id": 1}, upsert=True)
    script = f"sleep({for_ms}) || true"
    tasks = [asyncio.create_task(collection.find_one({"$where": script})) for _ in range(count)]
    try:
        yield
    finally:
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _paused(stack: EmbeddedStack, name: str) -> Iterator[None]:
    stack.servers[name].pause()
    try:
        yield
    finally:
        stack.servers[name].resume()


@asynccontextmanager
async def _failpoint(members: Sequence[Client], name: str) -> AsyncIterator[None]:
    for client in members:
        await client.admin.command({"configureFailPoint": name, "mode": "alwaysOn"})
    try:
        yield
    finally:
        for client in members:
            await client.admin.command({"configureFailPoint": name, "mode": "off"})


async def test_operations_of_clients_are_counted_and_ours_are_not(
    probes: MongoProbes, members: dict[str, Client]
) -> None:
    probe = _probe(probes, "mongo-1")
    before = await probe.sample(0.0)
    assert total(before, "flashcrowd_mongodb_active_operations") == 0
    async with _sleepers(members["mongo-1"], 5, 800):

        async def all_run() -> bool:
            return await _of(probes, "mongo-1", "flashcrowd_mongodb_active_operations") == 5

        await until(all_run)
        first = await probe.sample(1.0)
        own = await members["mongo-1"].admin.aggregate([{"$currentOp": {"idleConnections": True}}])
        theirs = [one for one in await own.to_list() if one.get("appName") == "crowd"]
        assert total(first, "flashcrowd_mongodb_client_connections") == pytest.approx(len(theirs), abs=1)
        longest = total(first, "flashcrowd_mongodb_longest_operation_seconds")
        assert 0 < longest < 5

        async def longer() -> bool:
            return await _of(probes, "mongo-1", "flashcrowd_mongodb_longest_operation_seconds") > longest

        await until(longer)
    assert await _of(probes, "mongo-1", "flashcrowd_mongodb_active_operations") == 0


async def test_the_connections_of_the_probes_are_there_from_the_beginning_and_stay(
    probes: MongoProbes, members: dict[str, Client]
) -> None:
    async def ours() -> set[int]:
        found = await members["mongo-1"].admin.aggregate([{"$currentOp": {"idleConnections": True}}])
        return {one["connectionId"] for one in await found.to_list() if one.get("appName") == APPLICATION_NAME}

    async def all_there() -> bool:
        return len(await ours()) == MOST_CONNECTIONS + 1  # and the driver's own, that looks whether the member is there

    await until(all_there)
    before = await ours()
    for _ in range(5):
        await asyncio.gather(*(probe.sample(0.0) for probe in probes.probes))
    assert await ours() == before


async def test_operations_are_counted(probes: MongoProbes, members: dict[str, Client]) -> None:
    labels = {"legacy_op_type": "insert"}
    before = await _of(probes, "mongo-1", "mongodb_ss_opcounters", **labels)
    await members["mongo-1"]["probed"]["many"].insert_many([{"n": n} for n in range(7)])
    assert await _of(probes, "mongo-1", "mongodb_ss_opcounters", **labels) - before == 7


async def test_tickets_that_are_taken_and_who_waits_for_one(probes: MongoProbes, members: dict[str, Client]) -> None:
    client = members["mongo-1"]
    name = "wiredTigerConcurrentReadTransactions"
    usual = int(await _of(probes, "mongo-1", "flashcrowd_mongodb_tickets_limit", txn_rw_type="read"))
    # As few as it takes are soon taken; the probes' own questions need none, but the heartbeat's reading does.
    await client.admin.command({"setParameter": 1, name: 5})
    try:
        async with _sleepers(client, 8, 700):

            async def three_wait() -> bool:
                return await _of(probes, "mongo-1", "mongodb_ss_globalLock_currentQueue", count_type="readers") >= 3

            await until(three_wait)
            samples = await _probe(probes, "mongo-1").sample(0.0)
            assert total(samples, "flashcrowd_mongodb_tickets_out", txn_rw_type="read") == 5
            assert total(samples, "flashcrowd_mongodb_tickets_limit", txn_rw_type="read") == 5
            status = await client.admin.command({"serverStatus": 1})
            assert status["globalLock"]["currentQueue"]["readers"] in (3, 4)
            assert _by_member(await _replication(probes), STATE)["mongo-1"] == 1
    finally:
        await client.admin.command({"setParameter": 1, name: usual})


async def test_writes_that_queue_behind_a_lock(probes: MongoProbes, members: dict[str, Client]) -> None:
    client = members["mongo-1"]
    await client.admin.command({"fsync": 1, "lock": True})
    writes = []
    try:
        writes = [asyncio.create_task(client["probed"]["many"].insert_one({"n": n})) for n in range(4)]

        async def queued() -> bool:
            # Another writer may be the heartbeat of these very probes.
            return await _of(probes, "mongo-1", "mongodb_ss_globalLock_currentQueue", count_type="writers") >= 4

        await until(queued)
    finally:
        await client.admin.command({"fsyncUnlock": 1})
        await asyncio.gather(*writes)
    assert await _of(probes, "mongo-1", "mongodb_ss_globalLock_currentQueue", count_type="writers") == 0


async def test_a_secondary_that_fetches_nothing_falls_behind(probes: MongoProbes, members: dict[str, Client]) -> None:
    async def applied(name: str) -> float:
        status = await members[name].admin.command({"replSetGetStatus": 1})
        return float(status["optimes"]["lastAppliedWallTime"].timestamp())

    async def caught_up() -> bool:
        samples = await _replication(probes)
        lags = [*_by_member(samples, LAG).values(), *_by_member(samples, BEAT_LAG).values()]
        return len(lags) == 4 and max(lags) == 0

    await until(caught_up)
    async with _failpoint([members["mongo-3"]], "stopReplProducer"):

        async def behind() -> bool:
            samples = await _replication(probes)
            return min(_by_member(samples, LAG)["mongo-3"], _by_member(samples, BEAT_LAG).get("mongo-3", 0.0)) > 1.5

        await until(behind)
        before = await applied("mongo-1") - await applied("mongo-3")
        samples = await _replication(probes)
        after = await applied("mongo-1") - await applied("mongo-3")
        assert before - 0.002 <= _by_member(samples, LAG)["mongo-3"] <= after + 0.002
        assert _by_member(samples, BEAT_LAG)["mongo-3"] == pytest.approx(after, abs=1.5)
        await until(lambda: _keeps_up(probes, "mongo-2"))
        assert _by_member(samples, BEAT_LAG)["mongo-2"] == 0
    await until(caught_up)


async def test_a_member_that_hangs_is_a_gap_of_its_own_and_its_lag_grows(
    probes: MongoProbes, mongo_stack: EmbeddedStack
) -> None:
    await _replication(probes)
    with _paused(mongo_stack, "mongo-3"):
        began_s = time.monotonic()
        with pytest.raises(FAILURES):
            await _probe(probes, "mongo-3").sample(0.0)
        assert await _of(probes, "mongo-1", "mongodb_ss_flowControl_enabled") == 1

        async def down_and_behind() -> bool:
            samples = await _replication(probes)
            assert "mongo-3" not in _by_member(samples, BEAT_LAG)
            return total(samples, "flashcrowd_mongodb_members_down") == 1 and _by_member(samples, LAG)["mongo-3"] > 2

        await until(down_and_behind)
        asked_s = time.monotonic()
        samples, for_s = await _replication(probes), time.monotonic() - began_s
        assert _by_member(samples, STATE) == {"mongo-1": 1, "mongo-2": 2, "mongo-3": 8}
        # The primary has written a heartbeat each second; the last may be a second old.
        assert asked_s - began_s - 2.5 < _by_member(samples, LAG)["mongo-3"] < for_s + 1
        await until(lambda: _keeps_up(probes, "mongo-2"))

    async def back() -> bool:
        samples = await _replication(probes)
        with suppress(*FAILURES):
            await _probe(probes, "mongo-3").sample(0.0)
            lags = _by_member(samples, LAG) | {
                f"beat {name}": lag for name, lag in _by_member(samples, BEAT_LAG).items()
            }
            return (
                total(samples, "flashcrowd_mongodb_members_down") == 0
                and set(lags.values()) == {0.0}
                and len(lags) == 4
            )
        return False

    await until(back)


async def test_an_index_build_that_is_held(probes: MongoProbes, members: dict[str, Client]) -> None:
    collection = members["mongo-1"]["probed"]["indexed"]
    await collection.insert_many([{"n": n} for n in range(50)])
    async with _failpoint(list(members.values()), "hangAfterStartingIndexBuild"):
        building = asyncio.create_task(collection.create_index("n"))

        async def on_all() -> bool:
            return [await _of(probes, name, "flashcrowd_mongodb_index_builds") for name in NAMES] == [1, 1, 1]

        await until(on_all)
        for client in members.values():
            assert (await client.admin.command({"serverStatus": 1}))["activeIndexBuilds"]["total"] == 1
    await building
    assert [await _of(probes, name, "flashcrowd_mongodb_index_builds") for name in NAMES] == [0, 0, 0]
    await collection.drop()


async def test_a_primary_that_steps_down(probes: MongoProbes, members: dict[str, Client]) -> None:
    assert _by_member(await _replication(probes), STATE) == {"mongo-1": 1, "mongo-2": 2, "mongo-3": 2}
    seen: list[float] = []

    async def led_by(name: str) -> bool:
        samples = await _replication(probes)
        seen.append(total(samples, "flashcrowd_mongodb_primaries"))
        states = _by_member(samples, STATE)
        return (
            states[name] == 1
            and sorted(states.values()) == [1, 2, 2]
            and set(_by_member(samples, LAG)) == {*NAMES} - {name}
        )

    try:
        await _step_up(members["mongo-2"])
        await until(lambda: led_by("mongo-2"))
        assert probes.replication.primary == "mongo-2"
        assert (await members["mongo-2"].admin.command({"hello": 1}))["isWritablePrimary"]
    finally:
        await _step_up(members["mongo-1"])
    await until(lambda: led_by("mongo-1"))
    assert set(seen) <= {0.0, 1.0, 2.0}


async def _step_up(client: Client) -> None:
    async def stepped_up() -> bool:
        with suppress(PyMongoError):
            if not (await client.admin.command({"hello": 1}))["isWritablePrimary"]:
                await client.admin.command({"replSetStepUp": 1})
        return bool((await client.admin.command({"hello": 1}))["isWritablePrimary"])

    await until(stepped_up)


async def test_slow_operations_are_counted_and_the_slowest_kept(
    probes: MongoProbes, members: dict[str, Client], tmp_path: Path
) -> None:
    log = _probe(probes, "mongo-log")
    metric = "flashcrowd_log_slow_operations_total"
    before = total(await log.sample(0.0), metric, member="mongo-1")
    async with _sleepers(members["mongo-1"], 1, 250):
        pass

    async def counted() -> bool:
        return total(await log.sample(0.0), metric, member="mongo-1") >= before + 1 and bool(sleeping())

    def sleeping() -> list[dict[str, Any]]:
        """On a busy machine other operations are slow, too."""
        lines = (tmp_path / "slow_operations.jsonl").read_text().splitlines()
        return [line for text in lines if "sleep(250)" in (line := json.loads(text))["command"]]

    await until(counted)
    [line] = sleeping()
    assert (line["member"], line["namespace"], line["application"]) == ("mongo-1", "probed.one", "crowd")
    assert 0.25 <= line["took_s"] < 5
    assert line["plan"] == "COLLSCAN"
    assert line["documents_examined"] == 1


async def test_cpu_of_every_member_threads_that_ended_included(
    mongo_stack: EmbeddedStack, members: dict[str, Client]
) -> None:
    probe = UsageProbe(lambda: footprints(mongo_stack))
    before = await probe.sample(0.0)
    pids = {}
    for name in NAMES:
        footprint = mongo_stack.servers[name].footprint()
        assert footprint is not None
        pids[name] = psutil.Process(footprint.pid)
    own = {name: sum(process.cpu_times()[:2]) for name, process in pids.items()}
    burn = "for (let i = 0; i < 3e6; i++) {} return true"
    await members["mongo-1"]["probed"]["one"].replace_one({"_id": 1}, {"_id": 1}, upsert=True)
    for _ in range(3):
        await members["mongo-1"]["probed"]["one"].find_one({"$where": f"function() {{ {burn} }}"})
    after = await probe.sample(1.0)
    for name in NAMES:
        used = sum(pids[name].cpu_times()[:2]) - own[name]
        burnt = total(after, "container_cpu_usage_seconds_total", name=name) - total(
            before, "container_cpu_usage_seconds_total", name=name
        )
        assert burnt == pytest.approx(used, rel=0.1, abs=0.05)
        # Of a single process: what is its own and cannot be had from a file again.
        resident = pids[name].memory_info()
        held = total(after, "container_memory_working_set_bytes", name=name)
        assert held == pytest.approx(resident.rss - resident.shared, rel=0.1)


async def test_the_heartbeat_is_gone_with_the_probes(
    mongo: ReplicaSet, tmp_path: Path, members: dict[str, Client]
) -> None:
    async def beats() -> int:
        return await members["mongo-1"]["flashcrowd"]["heartbeat"].count_documents({})

    async def written() -> bool:
        await _replication(found)
        return await beats() == 1

    async with mongo_probes(mongo, tmp_path, Origin.after(0)) as found:
        await until(written)
    assert await beats() == 0

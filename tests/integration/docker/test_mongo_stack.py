"""A replica set in containers: members that answer from here at their own addresses, reset, what the timeline does to them."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from harness.clock import Origin
from harness.model import (
    CreateMongoIndex,
    Dataset,
    DropMongoIndex,
    Failpoint,
    MongoReplicaSet,
    RunCommand,
    Sample,
    Topology,
)
from harness.probes.controlgroup import ControlGroup
from harness.probes.mongo import mongo_probes
from harness.probes.probe import FAILURES
from harness.probes.probe_set import footprints
from harness.probes.usage import UsageProbe
from harness.stack.docker.member import KEY, DockerMember
from harness.stack.docker.mongo_login import KEY_VARIABLE
from harness.stack.docker.stack import DockerStack
from harness.stack.mongo.members import Member, ReplicaSet
from tests.integration.command import until
from tests.integration.conftest import SCALE, SEED
from tests.integration.probes.conftest import until as awaited
from tests.integration.timeline.conftest import Actions

pytestmark = pytest.mark.docker
MEMORY_BYTES = 1024**3


@pytest.fixture(scope="module")
def running(named: None) -> Iterator[DockerStack]:
    """A replica set of three with a few players."""
    asked = MongoReplicaSet(memory_bytes=MEMORY_BYTES, failpoints=True)
    players = Dataset(module="fixtures.players", version=1)
    with DockerStack.up(
        Topology(postgres=None, mongo=asked), players, scale=SCALE, seed=SEED, say=lambda line: None
    ) as stack:
        yield stack


@pytest.fixture
def mongo(running: DockerStack) -> ReplicaSet:
    """Where it is."""
    assert running.mongo is not None
    return running.mongo


def states(mongo: ReplicaSet, asked: Member | None = None) -> list[str]:
    with MongoClient[dict[str, object]](
        mongo.uri_of(asked or mongo.members[0]), serverSelectionTimeoutMS=2000, socketTimeoutMS=2000
    ) as client:
        return [str(one["stateStr"]) for one in client.admin.command("replSetGetStatus")["members"]]


def answers(mongo: ReplicaSet, member: Member) -> bool:
    try:
        states(mongo, member)
        return True
    except PyMongoError:
        return False


def test_all_members_follow_and_hold_the_dataset(running: DockerStack, mongo: ReplicaSet) -> None:
    assert running.postgres is None
    assert states(mongo) == ["PRIMARY", "SECONDARY", "SECONDARY"]
    counts = set()
    for member in mongo.members:
        with MongoClient[dict[str, object]](mongo.uri_of(member), readPreference="secondaryPreferred") as client:
            database = client[mongo.database]
            counts.add((database.players.count_documents({}), tuple(database.players.index_information())))
            assert client.server_info()["version"] == mongo.version
    ((players, indexes),) = counts
    assert players > 0
    assert indexes == ("_id_", "level_1_alliance_1")
    with MongoClient[dict[str, object]](mongo.uri(), w=3) as client:
        client[mongo.database].written.insert_one({"by": "a client of the whole set"})


UNAUTHORIZED, AUTHENTICATION_FAILED = 13, 18


def refused(address: str) -> set[int | None]:
    """The codes of a member's refusals to whoever wants to read and to write there."""
    codes = set()
    for asked in ({"find": "players"}, {"insert": "players", "documents": [{}]}):
        with (
            MongoClient[dict[str, object]](address, directConnection=True) as client,
            pytest.raises(OperationFailure) as told,
        ):
            client.crowd.command(asked)
        codes.add(told.value.code)
    return codes


def test_nobody_gets_in_without_the_password_and_none_is_told(
    running: DockerStack,
    mongo: ReplicaSet,
    client: docker.DockerClient,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    assert mongo.password is not None
    secrets = {mongo.password}
    inside: list[tuple[int, str]] = []
    told = [repr(running.describe()), repr(mongo)]
    for member in mongo.members:
        host = f"{member.host}:{member.port}"
        assert refused(f"mongodb://{host}") == {UNAUTHORIZED}
        for wrong in (f"{mongo.user}:guessed@{host}/?authSource=admin", f"__system:guessed@{host}/?authSource=local"):
            assert refused(f"mongodb://{wrong}") == {AUTHENTICATION_FAILED}
        server = running.servers[member.name]
        assert isinstance(server, DockerMember) and server.container.main is not None
        found = next(
            client.api.inspect_container(one["Id"])
            for one in client.api.containers()
            if any(str(server.container.log) == mount["Source"] for mount in one["Mounts"])
        )
        told += [repr(found["Config"]["Cmd"]), repr(found["Config"]["Entrypoint"]), repr(found["Config"]["Labels"])]
        secrets.add(next(one.partition("=")[2] for one in found["Config"]["Env"] if one.startswith(KEY_VARIABLE)))
        process = Path(f"/proc/{server.container.main.pid}")
        told.append((process / "environ").read_text())
        key = process / "root" / KEY.lstrip("/")
        inside.append((stat.S_IMODE(key.stat().st_mode), key.read_text()))
        assert key.stat().st_uid == process.stat().st_uid != 0
        told += [path.read_text(errors="replace") for path in server.container.log.iterdir()]
        told.append(client.api.logs(found["Id"]).decode())
    (password, key_text) = (mongo.password, *(secrets - {mongo.password}))
    assert inside == [(0o400, key_text)] * 3
    running.save_logs(tmp_path)
    told += [path.read_text(errors="replace") for path in tmp_path.iterdir()]
    told += [*capfd.readouterr()]
    told += [path.read_text(errors="replace") for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [text for text in told if password in text or key_text in text]


def test_what_is_kept_of_a_seeding_has_neither_key_nor_user(running: DockerStack, mongo: ReplicaSet) -> None:
    with MongoClient[dict[str, Any]](mongo.uri()) as client:
        (user,) = client.admin.command("usersInfo")["users"]
        assert (user["user"], user["roles"]) == (mongo.user, [{"role": "root", "db": "admin"}])
    players = Dataset(module="fixtures.players", version=1)
    topology = Topology(postgres=None, mongo=MongoReplicaSet(members=1))
    with DockerStack.up(topology, players, scale=SCALE, seed=SEED, say=lambda line: None) as other:
        assert other.mongo is not None
        assert other.mongo.password != mongo.password
        # neither the one's password nor its network gets anybody into the other
        stranger = replace(other.mongo, password=mongo.password)
        assert refused(stranger.uri_of(stranger.members[0])) == {AUTHENTICATION_FAILED}


async def test_what_the_timeline_asks_of_members_is_allowed(
    running: DockerStack, mongo: ReplicaSet, tmp_path: Path
) -> None:
    actions = Actions(running, tmp_path)
    for action in (
        CreateMongoIndex(collection="players", name="new", keys={"alliance": 1}, write_concern={"w": 3}),
        DropMongoIndex(collection="players", name="level_1_alliance_1", write_concern={"w": "majority"}),
        Failpoint(name="hangAfterStartingIndexBuild", server="mongo-secondaries"),
    ):
        performing = actions.of(action)
        await performing.act()
        assert await performing.undo() is True
    for command in ({"setParameter": 1, "logLevel": 0}, {"fsync": 1}, {"replSetStepDown": 1, "force": True}):
        await actions.of(RunCommand(command=command, database="admin")).act()
    await asyncio.to_thread(running.reset)


def test_members_are_held_to_what_they_were_allotted(running: DockerStack) -> None:
    for server in running.servers.values():
        footprint = server.footprint()
        assert footprint is not None
        counted = ControlGroup.of(footprint.pid).read()
        assert (counted.quota_cores, counted.limit_bytes) == (1.0, MEMORY_BYTES)
        assert Path(f"/proc/{footprint.pid}/comm").read_text().strip() == "mongod"


def test_what_the_timeline_does_to_members_is_done_and_a_reset_undoes_it(
    running: DockerStack, mongo: ReplicaSet, tmp_path: Path
) -> None:
    first, second, third = mongo.members
    with MongoClient[dict[str, object]](mongo.uri()) as client:
        client[mongo.database].players.drop_indexes()
        client[mongo.database].players.delete_many({"level": {"$gt": 5}})
    with MongoClient[dict[str, object]](mongo.uri_of(second)) as client:
        client.admin.command("configureFailPoint", "hangAfterStartingIndexBuild", mode="alwaysOn")
    servers = running.servers
    servers[third.name].pause()
    assert not answers(mongo, third)
    servers[third.name].resume()
    assert answers(mongo, third)
    servers[second.name].cut_off()
    assert not answers(mongo, second)
    until(lambda: "(not reachable/healthy)" in states(mongo), "the others to miss it")
    servers[second.name].rejoin()
    # Whichever of them is elected then: the one that comes back may stand for election at once.
    until(lambda: sorted(states(mongo)) == ["PRIMARY", "SECONDARY", "SECONDARY"], "it to be of the set again")
    servers[first.name].kill()
    assert running.check_alive() is None
    until(lambda: "PRIMARY" in states(mongo, third), "a primary without the first")
    servers[third.name].set_cpus(0.5)
    running.reset()
    assert states(mongo) == ["PRIMARY", "SECONDARY", "SECONDARY"]
    for member in mongo.members:
        with MongoClient[dict[str, Any]](mongo.uri_of(member)) as client:
            database = client.get_database(mongo.database)
            assert "level_1_alliance_1" in database.players.index_information()
            assert database.players.count_documents({"level": {"$gt": 5}}) > 0
            found = client.admin.command("getParameter", "*")["failpoint.hangAfterStartingIndexBuild"]
            assert found["mode"] == 0
        footprint = servers[member.name].footprint()
        assert footprint is not None
        assert ControlGroup.of(footprint.pid).read().quota_cores == 1.0
    running.save_logs(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mongo-1.log", "mongo-2.log", "mongo-3.log"]


def test_a_member_that_is_killed_for_want_of_memory_is_told_as_such(
    running: DockerStack, client: docker.DockerClient
) -> None:
    victim = running.servers["mongo-3"]
    assert isinstance(victim, DockerMember)
    assert victim.container.main is not None
    # What is written to shared memory counts, and of the group mongod is by far the largest process.
    (name,) = (
        one["Names"][0].lstrip("/")
        for one in client.api.containers()
        if any(str(victim.container.log) == mount["Source"] for mount in one["Mounts"])
    )
    container = client.containers.get(name)
    container.exec_run(["/bin/sh", "-c", "dd if=/dev/zero of=/dev/shm/filled bs=1M count=1024"], detach=True)
    until(lambda: running.check_alive(), "the kernel to kill it")
    died = running.check_alive()
    assert died is not None
    assert "the server mongo-3 was killed for want of memory: it may use 1024 MB (OOMKilled); its last lines:" in died
    assert container.attrs["Id"] and client.api.inspect_container(name)["State"]["OOMKilled"]
    running.reset()
    assert running.check_alive() is None


async def test_a_member_that_is_cut_off_is_a_gap_of_its_own_and_its_lag_grows(
    running: DockerStack, mongo: ReplicaSet, tmp_path: Path
) -> None:
    lag, state = "mongodb_mongod_replset_member_replication_lag", "mongodb_rs_members_state"

    def by_member(samples: Sequence[Sample], metric: str) -> dict[str, float]:
        return {one.labels["member"]: one.value for one in samples if one.metric == metric}

    async with mongo_probes(mongo, tmp_path, Origin.after(0)) as found:
        own = {probe.name: probe for probe in found.probes}

        async def together() -> bool:
            samples = await found.replication.sample(0.0)
            return sorted(by_member(samples, state).values()) == [1, 2, 2] and set(
                by_member(samples, lag).values()
            ) == {0}

        await awaited(together)
        leading = found.replication.primary
        away = next(name for name in ("mongo-3", "mongo-2") if name != leading)
        running.servers[away].cut_off()
        try:

            async def behind() -> bool:
                samples = await found.replication.sample(0.0)
                return by_member(samples, state)[away] == 8 and by_member(samples, lag)[away] > 2

            await awaited(behind)
            with pytest.raises(FAILURES):
                await own[away].sample(0.0)
            assert found.replication.primary == leading
            assert leading is not None
            assert await own[leading].sample(0.0)
            # The engine sees its processes still: what it burns is no business of the network.
            usage = await UsageProbe(lambda: footprints(running)).sample(0.0)
            measured = {one.labels["name"] for one in usage if one.metric == "container_cpu_usage_seconds_total"}
            assert measured == {"mongo-1", "mongo-2", "mongo-3"}
        finally:
            running.servers[away].rejoin()
        await awaited(together)
        assert await own[away].sample(0.0)

"""Up and down of replica sets: what is left on each way to the end, which is nothing, and what a set is not made of."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from pymongo import MongoClient, WriteConcern
from pymongo.errors import OperationFailure

from harness import dataset as datasets
from harness.errors import DefinitionError, StackError
from harness.model import Dataset, MongoReplicaSet, Topology
from harness.stack.embedded import EmbeddedStack, member, mongo_template
from harness.stack.embedded import account as accounts
from harness.stack.embedded import instance as instances
from harness.stack.embedded import mongod_program as programs
from harness.stack.embedded import port as ports
from harness.stack.embedded.mongod import Mongod
from harness.stack.embedded.sweep import sweep
from harness.stack.mongo import replica_set
from harness.stack.mongo.options import PARAMETERS
from tests.folders import let_through
from tests.integration.stack.conftest import ROOT, gone, listens

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("place", "cache")]

Left = Callable[[], list[Path]]
PLAYERS = Dataset(module="fixtures.players", version=1)
SCALE = 0.001
NOT_YET_INITIALIZED = 94


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that the tests hand on to each other."""
    folder = tmp_path_factory.mktemp("kept")
    let_through(folder)
    return folder


@pytest.fixture
def cache(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASHCROWD_CACHE", str(kept))


def up(asked: MongoReplicaSet, said: list[str] | None = None) -> AbstractContextManager[EmbeddedStack]:
    topology = Topology(postgres=None, mongo=asked)
    say = (said if said is not None else []).append
    return EmbeddedStack.up(topology, PLAYERS, scale=SCALE, seed=1, say=say)


def pids(stack: EmbeddedStack) -> list[int]:
    return [server.footprint().pid for server in stack.servers.values()]


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_nothing_is_left(error: type[BaseException] | None, instances_left: Left) -> None:
    said: list[str] = []
    for members in (2, 1, 1, 1, 1) if error is None else (2,):
        with ExitStack() as closing:
            if error is not None:
                closing.enter_context(pytest.raises(error))
            with up(MongoReplicaSet(members=members), said) as stack:
                assert stack.mongo is not None
                assert len(instances_left()) == len(stack.mongo.members) == members
                running, taken = pids(stack), [one.port for one in stack.mongo.members]
                if error is not None:
                    next(iter(stack.servers.values())).pause()
                    raise error
        assert instances_left() == []
        assert [pid for pid in running if psutil.pid_exists(pid)] == []
        assert not any(listens(port) for port in taken)
    assert sum(line.startswith("seeding") for line in said) <= 1


@pytest.fixture
def begun(place: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, list[int]]]]:
    """A set in a process of its own, and where it is."""
    command = [sys.executable, "-m", "tests.integration.stack.mongo_runner"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as running:
        assert running.stdout is not None
        found = json.loads(running.stdout.readline())
        yield running, found
        running.kill()
    for pid in found["pids"]:
        assert not psutil.pid_exists(pid), "nobody ended it"


def test_a_sweep_removes_what_a_killed_run_left_and_no_more(
    begun: tuple[subprocess.Popen[str], dict[str, list[int]]], instances_left: Left
) -> None:
    killed, where = begun
    with up(MongoReplicaSet(members=1)) as alive:
        killed.kill()
        killed.wait()
        assert all(listens(port) for port in where["ports"])  # else there is nothing to sweep
        psutil.Process(where["pids"][1]).suspend()
        said = sweep()
        assert sorted(line for line in said if "stopped" in line) == sorted(
            f"stopped MongoDB {pid}, left by a killed run" for pid in where["pids"]
        )
        assert all(gone(pid) for pid in where["pids"])
        assert not any(listens(port) for port in where["ports"])
        assert len(instances_left()) == 1
        assert alive.check_alive() is None
        assert sweep() == []


def test_a_port_that_is_taken_between_choice_and_start_is_chosen_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    lasting = ports.lasting
    with socket.socket() as holder:
        holder.bind((ports.HOST, 0))
        holder.listen()
        taken = holder.getsockname()[1]
        choices = [taken]
        monkeypatch.setattr(ports, "lasting", lambda: choices.pop() if choices else lasting())
        with up(MongoReplicaSet(members=1)) as stack:
            assert stack.mongo is not None
            assert stack.mongo.members[0].port != taken
        assert choices == []


def test_a_stopped_member_whose_port_was_taken_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member, "SAME_PORT_S", 0.2)
    with up(MongoReplicaSet(members=1)) as stack, socket.socket() as holder:
        assert stack.mongo is not None
        server, port = stack.servers["mongo-1"], stack.mongo.members[0].port
        server.stop()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((ports.HOST, port))
        holder.listen()
        with pytest.raises(StackError, match=f"port {port}, on which mongo-1 is to listen, is taken"):
            server.start()
        assert server.down_on_purpose
        holder.close()
        server.start()
        assert stack.check_alive() is None


def test_a_wrong_parameter_is_said_in_the_servers_words(instances_left: Left) -> None:
    with pytest.raises(StackError) as caught, up(MongoReplicaSet(members=1, parameters={"noSuchThing": "1"})):
        pass
    assert "noSuchThing" in str(caught.value)
    assert "topology.mongo.parameters" in str(caught.value)
    assert instances_left() == []


def test_a_parameter_that_is_the_harnesss_own_is_refused() -> None:
    with pytest.raises(DefinitionError, match="failpoints=True"):
        up(MongoReplicaSet(parameters={"enableTestCommands": "1"})).__enter__()


def test_parameters_and_limits_are_what_was_asked_for() -> None:
    asked = MongoReplicaSet(
        members=1, cache_bytes=300 * 1024**2, memory_bytes=2**30, parameters={"ttlMonitorSleepSecs": "77"}
    )
    with up(asked) as stack:
        assert stack.mongo is not None
        with MongoClient(stack.mongo.uri()) as client:
            assert client.admin.command("getParameter", 1, ttlMonitorSleepSecs=1)["ttlMonitorSleepSecs"] == 77
            cache = client.admin.command("serverStatus")["wiredTiger"]["cache"]["maximum bytes configured"]
            assert cache == asked.cache_bytes
            with pytest.raises(OperationFailure):  # it was not started for them
                client.admin.command("configureFailPoint", "hangAfterStartingIndexBuild", mode="off")
        described = stack.describe()["mongo"]
        assert described["parameters"] == {**PARAMETERS, "ttlMonitorSleepSecs": "77"}
        assert [one["name"] for one in described["members"]] == ["mongo-1"]
        assert any("memory of a member is not limited" in note for note in described["notes"])
        if os.geteuid() == 0:
            assert psutil.Process(pids(stack)[0]).uids().real == accounts.for_servers().uid != 0


def test_a_failing_seed_leaves_nothing(instances_left: Left, tmp_path: Path) -> None:
    def seed(database: datasets.Documents, scale: float, seed: int) -> None:
        database.command("noSuchCommand")

    account = accounts.for_servers()
    recipe = mongo_template.MongoRecipe(
        fixture=replace(datasets.load(PLAYERS, Topology(postgres=None, mongo=MongoReplicaSet())), seed_mongo=seed),
        scale=0.5,
        seed=99,
        program=programs.locate(account, (instances.base(),)),
        account=account,
    )
    with pytest.raises(StackError, match=r"seeding fixtures\.players failed: .*noSuchCommand"):
        mongo_template.put_into(tmp_path / "data", recipe, lambda line: None)
    assert not (tmp_path / "data").exists()
    assert instances_left() == []


@contextmanager
def empty_mongods(count: int) -> Iterator[tuple[list[str], list[Mongod]]]:
    """Mongods of a set that are told nothing yet, and where they are."""
    account = accounts.for_servers()
    program = programs.locate(account, (instances.base(),))
    with ExitStack() as closing:
        hosts, running = [], []
        for _ in range(count):
            instance = closing.enter_context(instances.make(account))
            instance.data.mkdir(mode=0o700)
            account.own(instance.data)
            port = ports.lasting()
            hosts.append(f"{ports.HOST}:{port}")
            mongod = Mongod.launch(
                instance,
                program=program,
                account=account,
                port=port,
                replica_set=replica_set.NAME,
                cache_bytes=256 * 1024**2,
                parameters={},
                cores=None,
            )
            closing.callback(mongod.kill)
            running.append(mongod)
        yield hosts, running


def test_one_that_does_not_know_its_set_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is for a moment after it has begun to answer."""
    read, refused = replica_set._config, threading.Event()

    def config(client: replica_set.Client) -> dict[str, Any]:
        try:
            return read(client)
        except OperationFailure as error:
            assert error.code == NOT_YET_INITIALIZED
            refused.set()
            raise

    monkeypatch.setattr(replica_set, "_config", config)
    with empty_mongods(1) as (hosts, (mongod,)), ThreadPoolExecutor() as pool:
        adopted = pool.submit(replica_set.adopt, hosts, mongod.check_coming_up)
        assert refused.wait(60)
        members = [{"_id": 0, "host": hosts[0]}]
        with replica_set.direct(hosts[0]) as client:
            client.admin.command(
                "replSetInitiate", {"_id": replica_set.NAME, "members": members, "settings": replica_set.SETTINGS}
            )
        adopted.result()
        with replica_set.direct(hosts[0]) as client:
            assert client.admin.command("hello")["isWritablePrimary"]


def test_empty_mongods_become_a_set() -> None:
    """As a provider needs it that has no files to begin with."""
    with empty_mongods(3) as (hosts, running):

        def check() -> None:
            for mongod in running:
                mongod.check_coming_up()

        replica_set.initiate(hosts, check)
        with MongoClient(hosts, replicaSet=replica_set.NAME) as client:
            status = client.admin.command("replSetGetStatus")
            assert [(one["name"], one["stateStr"]) for one in status["members"]] == [
                (hosts[0], "PRIMARY"), (hosts[1], "SECONDARY"), (hosts[2], "SECONDARY")
            ]  # fmt: skip
            assert status["votingMembersCount"] == 3
            everywhere = WriteConcern(w=3, wtimeout=10_000)
            client["crowd"].get_collection("marks", write_concern=everywhere).insert_one({"mark": 1})


def test_who_dies_while_it_is_awaited_is_named() -> None:
    account = accounts.for_servers()
    with instances.make(account) as instance:  # whose folder for data was not made
        mongod = Mongod.launch(
            instance,
            program=programs.locate(account, (instances.base(),)),
            account=account,
            port=ports.lasting(),
            replica_set=replica_set.NAME,
            cache_bytes=256 * 1024**2,
            parameters={},
            cores=None,
        )
        with pytest.raises(StackError, match=r"MongoDB did not come up: .*exit status 100(.|\n)*not found"):
            replica_set.answers(f"{ports.HOST}:1", mongod.check_coming_up)

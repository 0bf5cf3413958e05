"""A stack in containers does what every provider's does: endpoints, limits, reset, replicas, what the timeline does to servers.

Each is provoked and then looked at by another way than the one it was done by.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncpg
import docker
import psycopg
import pytest

from harness.clock import Origin
from harness.model import Dataset, PostgresServer, Topology
from harness.probes.controlgroup import ControlGroup
from harness.probes.deadlocks import DeadlockProbe
from harness.stack import cores
from harness.stack.docker.images import Image
from harness.stack.docker.node import Node
from harness.stack.docker.stack import DockerStack
from harness.stack.postgres.endpoint import Endpoint
from tests.integration.command import until
from tests.integration.conftest import SEED
from tests.integration.docker.conftest import MEMORY_BYTES

pytestmark = pytest.mark.docker
two_cores = pytest.mark.skipif(len(cores.own_cores() or ()) < 2, reason="needs two cores that can be held to")


@pytest.fixture
def stack(contained: DockerStack) -> Iterator[DockerStack]:
    """The stack as it came up; put back whatever the test did to it."""
    yield contained
    contained.reset()


@pytest.fixture
def inspect(stack: DockerStack, client: docker.DockerClient) -> Callable[[str], Any]:
    """What the engine says of a server's container."""

    def of(server: str) -> Any:
        (container,) = (
            one
            for one in client.api.containers(all=True)
            if one["Labels"].get("io.flashcrowd.server") == server and of_stack(one, stack)
        )
        return client.api.inspect_container(container["Id"])

    return of


def of_stack(container: Any, stack: DockerStack) -> bool:
    node = stack.servers["postgres"]
    assert isinstance(node, Node)
    return any(str(node.container.log.parent) in mount.get("Source", "") for mount in container["Mounts"])


def value(endpoint: Endpoint, query: str, user: str | None = None) -> Any:
    with psycopg.connect(endpoint.dsn(user=user), connect_timeout=3) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def answers(endpoint: Endpoint, limit_s: int = 2) -> bool:
    try:
        with psycopg.connect(endpoint.dsn(), connect_timeout=limit_s) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        pass
    # Else a connection that was given up on stays half open, and the server waits a minute for its password.
    gc.collect()
    return False


def test_writer_and_reader_hold_the_dataset_for_the_application(stack: DockerStack) -> None:
    writer, (reader,) = stack.postgres, stack.replicas
    assert writer is not None
    assert (writer.name, reader.name) == ("postgres", "postgres-replica-1")
    items = value(writer, "SELECT count(*) FROM items", writer.application_user)
    assert items == value(reader, "SELECT count(*) FROM items", reader.application_user) > 0
    assert value(writer, "SELECT pg_is_in_recovery()") is False
    assert value(reader, "SELECT pg_is_in_recovery()") is True
    assert value(writer, "SELECT rolsuper FROM pg_roles WHERE rolname = 'app'") is False
    assert writer.max_connections == reader.max_connections == 40


def test_nobody_gets_in_without_a_password_and_none_is_told(
    stack: DockerStack, inspect: Callable[[str], Any], capfd: pytest.CaptureFixture[str]
) -> None:
    writer = stack.postgres
    assert writer is not None
    assert writer.log_folder is not None
    for role, password in writer.passwords:
        with pytest.raises(psycopg.OperationalError, match=r"no password supplied|password authentication failed"):
            psycopg.connect(f"host={writer.host} user={role} dbname={writer.database} password=''")
        told = [path.read_text(errors="replace") for path in writer.log_folder.iterdir()]
        told += [repr(stack.describe()), repr(writer), *capfd.readouterr()]
        for name in stack.servers:
            found = inspect(name)
            told += [repr(found["Config"]["Cmd"]), repr(found["Config"]["Entrypoint"]), repr(found["Config"]["Labels"])]
        told += [path.read_text(errors="replace") for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        assert not [text for text in told if password in text]
        assert value(writer, "SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%PASSWORD%'") == 0


def test_the_kernel_holds_servers_to_what_they_were_allotted(stack: DockerStack, inspect: Callable[[str], Any]) -> None:
    for name, server in stack.servers.items():
        footprint = server.footprint()
        assert footprint is not None
        assert footprint.confined
        assert footprint.pid == inspect(name)["State"]["Pid"]
        assert (footprint.cpus, footprint.memory_bytes) == (0.5, MEMORY_BYTES)
        counted = ControlGroup.of(footprint.pid).read()
        assert counted.quota_cores == 0.5
        assert counted.limit_bytes == MEMORY_BYTES


@two_cores
def test_servers_and_load_have_cores_of_their_own(stack: DockerStack, inspect: Callable[[str], Any]) -> None:
    load = stack.load_cores
    assert load
    for name, server in stack.servers.items():
        assert isinstance(server, Node)
        held = {int(core) for core in inspect(name)["HostConfig"]["CpusetCpus"].split(",")}
        assert held == set(server.endpoint.cores or ())
        assert not held & set(load)


def test_reset_puts_everything_back_on_both(stack: DockerStack) -> None:
    writer, (reader,) = stack.postgres, stack.replicas
    assert writer is not None
    digest = "SELECT md5(string_agg(items::text, '|' ORDER BY items::text)) FROM items"
    seeded = value(writer, digest)
    with psycopg.connect(writer.dsn(), autocommit=True) as connection:
        connection.execute("DELETE FROM items")
        connection.execute("CREATE TABLE added (id int)")
        connection.execute("CREATE INDEX ON collections (burned)")
    with psycopg.connect(reader.dsn(), autocommit=True) as paused:
        paused.execute("SELECT pg_wal_replay_pause()")
    lingering = psycopg.connect(reader.dsn())
    lingering.execute("SELECT 1")
    stack.reset()
    lingering.close()
    for endpoint in (writer, reader):
        assert value(endpoint, digest) == seeded
        assert value(endpoint, "SELECT to_regclass('added')") is None
        assert value(endpoint, "SELECT count(*) FROM pg_stat_statements WHERE query LIKE 'CREATE%'") == 0
    assert value(reader, "SELECT pg_is_wal_replay_paused()") is False


def test_logs_begin_with_the_reset(stack: DockerStack, tmp_path: Path) -> None:
    stack.reset()
    writer, (reader,) = stack.postgres, stack.replicas
    assert writer is not None
    for endpoint, word in ((writer, "of_the_writer"), (reader, "of_the_reader")):
        with psycopg.connect(endpoint.dsn()) as connection, pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute(f"SELECT * FROM {word}".encode())
    stack.save_logs(tmp_path / "one")
    assert "of_the_writer" in (tmp_path / "one" / "postgres.log").read_text()
    assert "of_the_writer" in (tmp_path / "one" / "postgres.json").read_text()
    assert "of_the_reader" in (tmp_path / "one" / "postgres-replica-1" / "postgres.log").read_text()
    stack.reset()
    stack.save_logs(tmp_path / "two")
    assert "of_the_writer" not in (tmp_path / "two" / "postgres.log").read_text()


async def test_deadlocks_are_read_from_the_containers_log(stack: DockerStack, tmp_path: Path) -> None:
    writer = stack.postgres
    assert writer is not None
    assert writer.log_folder is not None
    probe = DeadlockProbe(writer.log_folder, writer.database, tmp_path, Origin.after(0.0))
    one, other = [await asyncpg.connect(writer.dsn()) for _ in range(2)]
    try:
        first, second = (
            f"UPDATE collections SET burned = burned + 1 WHERE collection_id = {number}" for number in (1, 2)
        )
        await one.execute("BEGIN")
        await other.execute("BEGIN")
        await one.execute(first)
        await other.execute(second)
        ended = await asyncio.gather(one.execute(second), other.execute(first), return_exceptions=True)
        assert [type(error) for error in ended if isinstance(error, Exception)] == [asyncpg.DeadlockDetectedError]
        async with asyncio.timeout(10):
            counted = 0.0
            while not counted:
                samples = await probe.sample(0.0)
                counted = sum(sample.value for sample in samples if sample.metric == "flashcrowd_log_deadlocks_total")
                await asyncio.sleep(0.02)
        assert counted == 1
    finally:
        await probe.close()
        await one.close()
        await other.close()


def test_a_paused_server_looks_hung(stack: DockerStack, inspect: Callable[[str], Any]) -> None:
    server, writer = stack.servers["postgres"], stack.postgres
    assert writer is not None
    server.pause()
    assert inspect("postgres")["State"]["Paused"]
    assert not answers(writer)
    assert stack.check_alive() is None
    server.resume()
    assert answers(writer)
    assert not server.down_on_purpose


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_was_taken_down_comes_back_with_its_data(
    how: str, stack: DockerStack, inspect: Callable[[str], Any]
) -> None:
    server, writer = stack.servers["postgres"], stack.postgres
    assert writer is not None
    with psycopg.connect(writer.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    getattr(server, how)()
    state = inspect("postgres")["State"]
    assert (state["Running"], state["ExitCode"]) == (False, 0 if how == "stop" else 137)
    assert server.footprint() is None
    assert stack.check_alive() is None  # it is down on purpose
    server.start()
    assert value(writer, "SELECT number FROM kept") == 7
    assert writer.log_folder is not None
    recovered = "was not properly shut down" in (writer.log_folder / "postgres.log").read_text()
    assert recovered or how == "stop"
    footprint = server.footprint()
    assert footprint is not None
    assert footprint.pid == inspect("postgres")["State"]["Pid"]


def test_a_server_that_was_cut_off_works_on_and_rejoins_at_its_address(
    stack: DockerStack, inspect: Callable[[str], Any], client: docker.DockerClient
) -> None:
    (reader,) = stack.replicas
    server, writer = stack.servers[reader.name], stack.postgres
    assert writer is not None
    server.cut_off()
    assert not answers(reader)
    assert reader.name not in [one.name for one in stack.replicas]
    inside = client.containers.get(inspect(reader.name)["Id"]).exec_run(
        ["psql", "-U", "postgres", "-d", reader.database, "-Atc", "SELECT count(*) > 0 FROM items"]
    )
    assert inside.output.decode().strip() == "t"
    with psycopg.connect(writer.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE meanwhile AS SELECT 1 AS number")
    server.rejoin()
    assert [one.host for one in stack.replicas] == [reader.host]
    until(lambda: value(reader, "SELECT to_regclass('meanwhile') IS NOT NULL"), "the replica to catch up")


def test_cpus_are_changed_while_it_runs(stack: DockerStack) -> None:
    server = stack.servers["postgres"]
    server.set_cpus(0.25)
    footprint = server.footprint()
    assert footprint is not None
    assert footprint.cpus == 0.25
    assert ControlGroup.of(footprint.pid).read().quota_cores == 0.25
    assert stack.postgres is not None
    assert stack.postgres.cpus == 0.25
    stack.reset()
    assert ControlGroup.of(footprint.pid).read().quota_cores == 0.5


@two_cores
def test_a_server_that_gets_more_than_its_cores_is_held_to_others_as_well(
    stack: DockerStack, inspect: Callable[[str], Any]
) -> None:
    def held() -> set[int]:
        return {int(core) for core in inspect("postgres")["HostConfig"]["CpusetCpus"].split(",")}

    server, before = stack.servers["postgres"], held()
    server.set_cpus(len(before) + 0.5)
    assert stack.postgres is not None
    assert held() > before
    assert held() == set(stack.postgres.cores or ())
    stack.reset()
    assert held() == set(stack.postgres.cores or ()) == before


def test_a_replica_is_added_and_gone_after_the_reset(stack: DockerStack) -> None:
    writer = stack.postgres
    assert writer is not None
    added = stack.add_replica()
    assert [stage.name for stage in added.stages] == ["base backup", "start", "replay"]
    assert all(stage.took_s > 0 for stage in added.stages)
    assert [one.name for one in stack.replicas] == ["postgres-replica-1", "postgres-replica-2"]
    assert value(stack.replicas[1], "SELECT count(*) FROM items") == value(writer, "SELECT count(*) FROM items")
    streaming = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'postgres-replica-2'"
    assert value(writer, streaming) == 1
    stack.reset()
    assert [one.name for one in stack.replicas] == ["postgres-replica-1"]
    assert value(writer, streaming) == 0
    slots = "SELECT array_agg(slot_name::text) FROM pg_replication_slots"
    assert value(writer, slots) == ["postgres_replica_1"]


def test_a_reset_brings_back_whatever_was_done_to_servers(stack: DockerStack) -> None:
    stack.servers["postgres"].kill()
    stack.servers["postgres-replica-1"].cut_off()
    stack.reset()
    writer, readers = stack.postgres, stack.replicas
    assert writer is not None
    assert answers(writer)
    assert [answers(reader) for reader in readers] == [True]
    assert stack.check_alive() is None


def test_a_replica_that_found_its_primary_away_follows_it_again_at_a_reset(stack: DockerStack) -> None:
    (reader,) = stack.replicas

    def wait_before_looking_again(said: str) -> None:
        with psycopg.connect(reader.dsn(), autocommit=True) as session:
            session.execute(f"ALTER SYSTEM {said}".encode())
            session.execute("SELECT pg_reload_conf()")

    wait_before_looking_again("SET wal_retrieve_retry_interval = '5min'")
    stack.servers["postgres"].kill()
    receivers = "SELECT count(*) FROM pg_stat_wal_receiver"
    until(lambda: value(reader, receivers) == 0, "the replica to notice")
    stack.reset()
    (again,) = stack.replicas
    assert again.postmaster_pid == reader.postmaster_pid, "it needed not be made anew"
    assert value(again, receivers) == 1
    wait_before_looking_again("RESET wal_retrieve_retry_interval")


def test_how_a_server_died_is_told(
    stack: DockerStack, client: docker.DockerClient, inspect: Callable[[str], Any]
) -> None:
    client.api.kill(inspect("postgres-replica-1")["Id"], signal="SIGKILL")
    until(lambda: not inspect("postgres-replica-1")["State"]["Running"], "the container to end")
    died = stack.check_alive()
    assert died is not None
    assert "the server postgres-replica-1 was killed by signal 9 (exit status 137); its last lines:" in died
    assert "started streaming WAL from primary" in died
    assert stack.replicas == ()


def test_it_is_described_for_the_record(stack: DockerStack, inspect: Callable[[str], Any]) -> None:
    described = stack.describe()
    assert described["provider"] == "docker"
    postgres = described["postgres"]
    assert postgres["image"]["id"] == inspect("postgres")["Image"]
    assert (postgres["cpus"], postgres["memory_bytes"], postgres["max_connections"]) == (0.5, MEMORY_BYTES, 40)
    assert postgres["settings"]["max_connections"] == "40"
    assert [replica["name"] for replica in postgres["replicas"]] == ["postgres-replica-1"]


def test_a_reset_gets_in_where_superusers_took_every_connection(stack: DockerStack) -> None:
    writer = stack.postgres
    assert writer is not None
    with ExitStack() as held:
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            for _ in range(writer.max_connections + 1):
                held.callback(psycopg.connect(writer.dsn()).close)
        stack.reset()
    assert value(writer, "SELECT count(*) FROM items") > 0


def test_an_older_postgresql_does_as_well(dataset: Dataset, of_debian: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASHCROWD_POSTGRES_IMAGE", of_debian.reference)
    topology = Topology(postgres=PostgresServer(replicas=1))
    with DockerStack.up(topology, dataset, scale=0.001, seed=SEED, say=lambda line: None) as older:
        writer, (reader,) = older.postgres, older.replicas
        assert writer is not None
        assert 150000 <= writer.version_num < 160000
        older.reset()
        assert value(writer, "SELECT count(*) FROM items") == value(reader, "SELECT count(*) FROM items") > 0
        assert writer.log_folder is not None
        assert (writer.log_folder / "postgres.json").stat().st_size > 0

"""Streaming replicas as child processes: they follow, come and go, and are put back with the primary."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import psycopg
import pytest

from harness.errors import DefinitionError, StackError
from harness.model import Dataset, PostgresServer, Topology
from harness.stack import cores, processes
from harness.stack.embedded import EmbeddedStack
from harness.stack.embedded.node import Node
from harness.stack.embedded.replica import ReplicaMaker
from harness.stack.embedded.sweep import sweep
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.stack import Role, Server
from tests.integration.command import until
from tests.integration.stack.conftest import SCALE, gone, listens
from tests.integration.stack.test_reset import checksums

pytestmark = pytest.mark.server


def topology(replicas: int, **replica_settings: str) -> Topology:
    settings = {"max_connections": "40"}
    return Topology(postgres=PostgresServer(replicas=replicas, settings=settings, replica_settings=replica_settings))


@pytest.fixture(scope="module")
def shared(dataset: Dataset) -> Iterator[EmbeddedStack]:
    """A stack with two replicas; whatever a test does to it, :func:`stack` puts it back. One that found its primary away
    looks again sooner than it would by itself."""
    asked = topology(2, wal_retrieve_retry_interval="200ms")
    with EmbeddedStack.up(asked, dataset, scale=SCALE, seed=1, say=lambda line: None) as running:
        yield running


@pytest.fixture
def stack(shared: EmbeddedStack) -> EmbeddedStack:
    """The stack as it was seeded."""
    shared.reset()
    return shared


def ask(endpoint: Endpoint, query: str, *arguments: object) -> object:
    """One value."""
    with psycopg.connect(endpoint.dsn(), autocommit=True, connect_timeout=5) as connection:
        row = connection.execute(query.encode(), arguments).fetchone()
    return row and row[0]


def streaming(stack: EmbeddedStack) -> set[str]:
    """Names of the replicas that the primary feeds, by its own account."""
    query = "SELECT coalesce(string_agg(application_name, ' '), '') FROM pg_stat_replication WHERE state = 'streaming'"
    return set(str(ask(stack.postgres, query)).split())


def follows(stack: EmbeddedStack, endpoint: Endpoint) -> bool:
    """Whether what is written to the primary now comes to be read there."""
    ask(stack.postgres, "WITH one AS (UPDATE collections SET burned = burned + 1 RETURNING 1) SELECT count(*) FROM one")
    total = ask(stack.postgres, "SELECT sum(burned) FROM collections")
    until(lambda: ask(endpoint, "SELECT sum(burned) FROM collections") == total, f"{endpoint.name} has replayed it")
    return True


def replica(stack: EmbeddedStack, name: str) -> Endpoint:
    """The replica of that name, which takes reads."""
    [found] = [one for one in stack.replicas if one.name == name]
    return found


def test_replicas_take_reads_and_follow(stack: EmbeddedStack) -> None:
    assert [one.name for one in stack.replicas] == ["postgres-replica-1", "postgres-replica-2"]
    assert list(stack.servers) == ["postgres", "postgres-replica-1", "postgres-replica-2"]
    assert [server.role for server in stack.servers.values()] == [Role.WRITER, Role.READER, Role.READER]
    assert streaming(stack) == {"postgres-replica-1", "postgres-replica-2"}
    for endpoint in stack.replicas:
        assert ask(endpoint, "SELECT pg_is_in_recovery()") is True
        assert follows(stack, endpoint)
        with (
            psycopg.connect(endpoint.dsn(user=endpoint.application_user), autocommit=True) as connection,
            pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        ):
            connection.execute("UPDATE collections SET burned = 0")
    slots = ask(
        stack.postgres, "SELECT array_agg(slot_name::text ORDER BY slot_name) FROM pg_replication_slots WHERE active"
    )
    assert slots == ["postgres_replica_1", "postgres_replica_2"]


def test_each_server_says_what_it_was_given(stack: EmbeddedStack) -> None:
    described = stack.describe()["postgres"]
    assert [one["name"] for one in described["replicas"]] == ["postgres-replica-1", "postgres-replica-2"]
    for one, endpoint in zip(described["replicas"], stack.replicas, strict=True):
        assert one["max_connections"] == endpoint.max_connections == 40
        assert one["cpus"] == endpoint.cpus
    for server in stack.servers.values():
        footprint = server.footprint()
        assert footprint is not None
        assert psutil.Process(footprint.pid).name() == "postgres"
        assert not footprint.confined


def test_a_paused_server_looks_hung_and_goes_on(stack: EmbeddedStack) -> None:
    server, endpoint = stack.servers["postgres-replica-1"], replica(stack, "postgres-replica-1")
    with psycopg.connect(endpoint.dsn(), autocommit=True) as session:
        server.pause()
        assert server.down_on_purpose
        assert stack.check_alive() is None
        assert [one.name for one in stack.replicas] == ["postgres-replica-2"]
        family = [psutil.Process(endpoint.postmaster_pid), *psutil.Process(endpoint.postmaster_pid).children()]
        assert {process.status() for process in family} == {psutil.STATUS_STOPPED}
        assert follows(stack, replica(stack, "postgres-replica-2"))
        server.resume()
        assert session.execute("SELECT 1").fetchone() == (1,)
    assert not server.down_on_purpose
    assert follows(stack, endpoint)


@pytest.mark.parametrize("way", ["stop", "kill"])
@pytest.mark.parametrize("name", ["postgres", "postgres-replica-2"])
def test_a_server_goes_and_comes_back_where_it_was(stack: EmbeddedStack, name: str, way: str) -> None:
    server = stack.servers[name]
    endpoint = stack.postgres if name == "postgres" else replica(stack, name)
    data = endpoint.log_folder.parent / "data"
    ask(stack.postgres, "WITH one AS (UPDATE collections SET burned = 7 RETURNING 1) SELECT count(*) FROM one")
    getattr(server, way)()
    assert processes.of_data_folder(data) == []
    assert not listens(endpoint.port)
    assert server.footprint() is None
    assert stack.check_alive() is None, "it is down on purpose"
    with pytest.raises(StackError, match=f"{name} is down"):
        server.pause()
    server.start()
    with pytest.raises(StackError, match=f"{name} runs already"):
        server.start()
    back = stack.postgres if name == "postgres" else replica(stack, name)
    assert back.port == endpoint.port
    assert back.postmaster_pid != endpoint.postmaster_pid
    assert server.footprint().pid == back.postmaster_pid
    until(lambda: ask(back, "SELECT min(burned) FROM collections") == 7, "what was committed is there")
    for one in stack.replicas:
        assert follows(stack, one)


def test_a_replica_that_dies_by_itself_is_told_by_name(dataset: Dataset, place: Path) -> None:
    with EmbeddedStack.up(topology(1), dataset, scale=SCALE, seed=1, say=lambda line: None) as stack:
        postmaster = psutil.Process(stack.replicas[0].postmaster_pid)
        postmaster.kill()
        os.waitid(os.P_PID, postmaster.pid, os.WEXITED | os.WNOWAIT)
        died = stack.check_alive()
        assert died is not None
        assert died.startswith("postgres-replica-1: the server (process")
        assert "SIGKILL" in died
        assert stack.replicas == ()
        stack.reset()
        assert stack.check_alive() is None
        assert follows(stack, stack.replicas[0])


def test_an_embedded_server_cannot_be_cut_off(stack: EmbeddedStack) -> None:
    for server in stack.servers.values():
        assert "docker" in str(server.why_not("cut_off"))
        assert server.why_not("pause") is None
        with pytest.raises(StackError, match="--stack docker"):
            server.cut_off()


@pytest.mark.skipif(len(cores.own_cores() or ()) < 2, reason="needs two cores that can be held to")
def test_a_server_is_given_other_cores(stack: EmbeddedStack) -> None:
    server, own = stack.servers["postgres-replica-1"], cores.own_cores()
    endpoint = replica(stack, "postgres-replica-1")
    assert own is not None
    with psycopg.connect(endpoint.dsn(), autocommit=True) as session:
        server.set_cpus(2)
        for pid in (endpoint.postmaster_pid, session.info.backend_pid):
            assert os.sched_getaffinity(pid) == set(own[-2:])
        with psycopg.connect(endpoint.dsn()) as later:
            assert os.sched_getaffinity(later.info.backend_pid) == set(own[-2:])
        assert server.footprint().cpus == replica(stack, endpoint.name).cpus == 2
        server.set_cpus(1)
        assert os.sched_getaffinity(session.info.backend_pid) == set(own[-1:])
        for wrong in (0.5, 0, len(own) + 1):
            with pytest.raises(StackError, match="cores"):
                server.set_cpus(wrong)
        assert server.footprint().cpus == 1
        server.set_cpus(2)
    for one in stack.servers.values():
        one.set_cpus(2)
    stack.servers["postgres-replica-2"].stop()
    stack.reset()
    for one in stack.servers.values():
        assert one.footprint().cpus == 1
        assert os.sched_getaffinity(one.footprint().pid) == set(own[-1:])


def test_one_more_replica_is_added_and_gone_after_a_reset(stack: EmbeddedStack) -> None:
    before = checksums(stack.postgres)
    ask(stack.postgres, "WITH one AS (UPDATE collections SET burned = 3 RETURNING 1) SELECT count(*) FROM one")
    added = stack.add_replica()
    assert added.name == "postgres-replica-3"
    assert [stage.name for stage in added.stages] == ["base backup", "start", "replay"]
    assert all(stage.took_s > 0 for stage in added.stages)
    endpoint = replica(stack, "postgres-replica-3")
    assert ask(endpoint, "SELECT min(burned) FROM collections") == 3, "at once, with nothing to wait for"
    assert "postgres-replica-3" in streaming(stack)
    folder = endpoint.log_folder.parent
    stack.reset()
    assert list(stack.servers) == ["postgres", "postgres-replica-1", "postgres-replica-2"]
    assert not folder.exists()
    assert not listens(endpoint.port)
    assert ask(stack.postgres, "SELECT count(*) FROM pg_replication_slots") == 2
    for one in (stack.postgres, *stack.replicas):
        assert checksums(one) == before


def nothing(stack: EmbeddedStack, server: Server, endpoint: Endpoint) -> None:
    """Leave it as it is."""


def pause(stack: EmbeddedStack, server: Server, endpoint: Endpoint) -> None:
    server.pause()


def kill(stack: EmbeddedStack, server: Server, endpoint: Endpoint) -> None:
    server.kill()


def hold_replay(stack: EmbeddedStack, server: Server, endpoint: Endpoint) -> None:
    ask(endpoint, "SELECT pg_wal_replay_pause()")


def promote(stack: EmbeddedStack, server: Server, endpoint: Endpoint) -> None:
    assert ask(endpoint, "SELECT pg_promote()") is True


def lose_the_slot(stack: EmbeddedStack, server: Server, endpoint: Endpoint) -> None:
    server.stop()
    ask(stack.postgres, "SELECT pg_drop_replication_slot(%s)", endpoint.name.replace("-", "_"))


@pytest.mark.parametrize("what", [nothing, pause, kill, hold_replay, promote, lose_the_slot])
def test_a_reset_leaves_replicas_that_have_replayed_it(
    stack: EmbeddedStack, what: Callable[[EmbeddedStack, Server, Endpoint], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.stack.postgres.replicas.RESET_REPLAY_S", 2.0)
    before = checksums(stack.postgres)
    endpoint = replica(stack, "postgres-replica-1")
    what(stack, stack.servers[endpoint.name], endpoint)
    ask(stack.postgres, "WITH one AS (UPDATE collections SET burned = 7 RETURNING 1) SELECT count(*) FROM one")
    stack.reset()
    assert [one.name for one in stack.replicas] == ["postgres-replica-1", "postgres-replica-2"]
    for one in stack.replicas:  # at once: nothing is waited for
        assert checksums(one) == before
    assert streaming(stack) == {"postgres-replica-1", "postgres-replica-2"}
    assert follows(stack, replica(stack, "postgres-replica-1"))


def test_a_reset_brings_a_killed_primary_back_to_the_replicas_that_it_had(stack: EmbeddedStack) -> None:
    def wait_before_looking_again(said: str) -> None:
        for one in stack.replicas:
            with psycopg.connect(one.dsn(), autocommit=True) as session:
                session.execute(f"ALTER SYSTEM {said}".encode())
                session.execute("SELECT pg_reload_conf()")

    before = checksums(stack.postgres)
    postmasters = [one.postmaster_pid for one in stack.replicas]
    wait_before_looking_again("SET wal_retrieve_retry_interval = '5min'")
    stack.servers["postgres"].kill()
    query = "SELECT count(*) FROM pg_stat_wal_receiver"
    for one in stack.replicas:
        until(lambda one=one: ask(one, query) == 0, "the replica noticed")
    stack.reset()
    wait_before_looking_again("RESET wal_retrieve_retry_interval")
    assert [one.postmaster_pid for one in stack.replicas] == postmasters, "none had to be made anew"
    assert streaming(stack) == {"postgres-replica-1", "postgres-replica-2"}
    for one in (stack.postgres, *stack.replicas):
        assert checksums(one) == before


def test_a_query_on_a_replica_does_not_hold_a_reset_up(stack: EmbeddedStack) -> None:
    endpoint = replica(stack, "postgres-replica-1")
    with psycopg.connect(endpoint.dsn()) as session:
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        session.execute("SELECT count(*) FROM collections")
        ask(stack.postgres, "WITH one AS (DELETE FROM crafts RETURNING 1) SELECT count(*) FROM one")
        with psycopg.connect(stack.postgres.dsn(), autocommit=True) as primary:
            primary.execute("TRUNCATE crafts")  # whose replay waits for the session's lock, 30 s
        stack.reset()
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert follows(stack, replica(stack, "postgres-replica-1"))


def test_a_replica_that_superusers_filled_is_emptied_and_kept(stack: EmbeddedStack) -> None:
    endpoint = replica(stack, "postgres-replica-1")
    with ExitStack() as held:
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            for _ in range(endpoint.max_connections + 1):
                held.callback(psycopg.connect(endpoint.dsn()).close)
        stack.reset()
    back = replica(stack, "postgres-replica-1")
    assert back.postmaster_pid == endpoint.postmaster_pid, "it needed not be made anew"
    assert follows(stack, back)


def test_logs_of_a_replica_are_saved_in_a_folder_of_its_own(stack: EmbeddedStack, tmp_path: Path) -> None:
    endpoint = replica(stack, "postgres-replica-2")
    with psycopg.connect(endpoint.dsn(), autocommit=True) as session, pytest.raises(psycopg.errors.UndefinedColumn):
        session.execute("SELECT of_this_run FROM crafts")
    until(lambda: "of_this_run" in (endpoint.log_folder / "postgres.json").read_text(), "it is logged")
    stack.save_logs(tmp_path)
    assert "of_this_run" in (tmp_path / "postgres-replica-2" / "postgres.json").read_text()
    assert "of_this_run" not in (tmp_path / "postgres.json").read_text()
    assert (tmp_path / "postgres-replica-1" / "postgres.log").exists()


def test_a_replica_whose_limits_are_below_the_primarys_is_said(
    dataset: Dataset, place: Path, instances_left: Callable[[], list[Path]]
) -> None:
    with (
        pytest.raises(StackError, match="replica_settings"),
        EmbeddedStack.up(topology(1, max_connections="20"), dataset, scale=SCALE, seed=1, say=lambda line: None),
    ):
        pass
    assert instances_left() == []


def test_where_a_replica_follows_is_not_for_an_incident_to_say(dataset: Dataset) -> None:
    asked = topology(1, primary_conninfo="host=elsewhere")
    with (
        pytest.raises(DefinitionError, match="primary_conninfo"),
        EmbeddedStack.up(asked, dataset, scale=SCALE, seed=1, say=lambda line: None),
    ):
        pass


def test_nothing_is_left_of_replicas_paused_killed_and_in_the_making(
    dataset: Dataset, place: Path, instances_left: Callable[[], list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of one whose base backup another thread is taking as the stack goes down."""
    backing_up, errors = threading.Event(), list[BaseException]()
    original = ReplicaMaker.back_up

    def slow_backup(self: ReplicaMaker, node: Node) -> None:
        backing_up.set()
        # The checkpoint that a backup begins with waits for a server that is stopped: it never ends by itself.
        original(self, node)

    def add(stack: EmbeddedStack) -> None:
        try:
            stack.add_replica()
        except BaseException as error:
            errors.append(error)

    with EmbeddedStack.up(topology(2), dataset, scale=SCALE, seed=1, say=lambda line: None) as stack:
        ports = [stack.postgres.port, *(one.port for one in stack.replicas)]
        assert len(instances_left()) == 3
        stack.servers["postgres-replica-1"].pause()
        stack.servers["postgres-replica-2"].kill()
        monkeypatch.setattr(ReplicaMaker, "back_up", slow_backup)
        stack.servers["postgres"].pause()
        thread = threading.Thread(target=add, args=[stack])
        thread.start()
        assert backing_up.wait(10)
        until(lambda: len(instances_left()) == 4, "a folder for the new replica")
        [new] = [
            folder
            for folder in instances_left()
            if not (folder / "data" / "postmaster.pid").exists()
            and folder != stack.servers["postgres-replica-2"].instance.folder
        ]
        until(lambda: processes.of_data_folder(new / "data"), "its base backup has begun")
    thread.join(30)
    assert [type(error) for error in errors] == [StackError]
    assert instances_left() == []
    assert not any(listens(port) for port in ports)


def test_a_sweep_removes_the_replicas_of_a_killed_run(
    begin: Callable[..., object], instances_left: Callable[[], list[Path]]
) -> None:
    run = begin(replicas=1)
    up_at = run.await_up()
    assert len(instances_left()) == 2
    run.process.send_signal(signal.SIGKILL)
    run.process.wait()
    said = sweep()
    assert sum("stopped PostgreSQL" in line for line in said) == 2
    assert instances_left() == []
    for server in (up_at, *up_at["replicas"]):
        assert gone(server["postmaster"])
        assert not listens(server["port"])

"""Up and down: what a run leaves on each way to its end, which is nothing."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from harness.errors import DefinitionError, StackError
from harness.model import Dataset, PostgresServer, Topology
from harness.stack import cores, processes
from harness.stack.embedded import EmbeddedStack, shared_memory
from harness.stack.embedded import port as ports
from harness.stack.embedded import server as servers
from harness.stack.embedded.sweep import sweep
from tests.integration.stack.conftest import SCALE, Run, gone, listens

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("place")]

Left = Callable[[], list[Path]]
Begin = Callable[..., Run]
two_cores = pytest.mark.skipif(len(cores.own_cores() or ()) < 2, reason="needs two cores that can be held to")


def up(dataset: Dataset, **settings: str) -> object:
    topology = Topology(postgres=PostgresServer(settings=settings))
    return EmbeddedStack.up(topology, dataset, scale=SCALE, seed=1, say=lambda line: None)


@pytest.fixture
def running(collectibles: Dataset) -> Iterator[EmbeddedStack]:
    """A stack of the test's own."""
    with up(collectibles) as stack:
        yield stack


def assert_nothing_left(left: Left, data: str | Path, port: int) -> None:
    assert left() == []
    assert processes.of_data_folder(Path(data)) == []
    assert not listens(port)


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_nothing_is_left(error: type[BaseException] | None, collectibles: Dataset, instances_left: Left) -> None:
    caught = None
    try:
        with up(collectibles) as stack:
            endpoint = stack.postgres
            data = endpoint.log_folder.parent / "data"
            assert listens(endpoint.port)
            assert len(instances_left()) == 1
            assert processes.of_data_folder(data)
            if error is not None:
                raise error
    except BaseException as raised:
        caught = type(raised)
    assert caught is error
    assert_nothing_left(instances_left, data, endpoint.port)


def test_nothing_is_left_with_sessions_in_the_middle_of_something(collectibles: Dataset, instances_left: Left) -> None:
    with up(collectibles) as stack:
        endpoint = stack.postgres
        holder = psycopg.connect(endpoint.dsn())
        holder.execute("UPDATE collections SET burned = 1")
    assert_nothing_left(instances_left, endpoint.log_folder.parent / "data", endpoint.port)
    holder.close()


def test_nothing_is_left_by_a_server_that_does_not_stop(
    collectibles: Dataset, instances_left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "FAST_S", 0.1)
    monkeypatch.setattr(servers, "IMMEDIATE_S", 0.1)
    with up(collectibles) as stack:
        endpoint = stack.postgres
        psutil.Process(endpoint.postmaster_pid).suspend()
    assert_nothing_left(instances_left, endpoint.log_folder.parent / "data", endpoint.port)


def test_nothing_is_left_by_a_run_that_is_interrupted(begin: Begin, instances_left: Left) -> None:
    run = begin()
    up_at = run.await_up()
    run.process.send_signal(signal.SIGINT)
    _, said = run.end()
    assert "KeyboardInterrupt" in said
    assert_nothing_left(instances_left, up_at["data"], up_at["port"])


def test_a_sweep_removes_what_a_killed_run_left_and_no_more(begin: Begin, instances_left: Left) -> None:
    killed, living = begin(), begin()
    dead, alive = killed.await_up(), living.await_up()
    killed.process.kill()
    killed.process.wait()
    assert listens(dead["port"])  # else there is nothing to sweep
    said = sweep()
    assert len(said) == 2
    assert str(dead["postmaster"]) in said[0]
    assert str(Path(dead["data"]).parent) in said[1]
    assert gone(dead["postmaster"])
    assert not listens(dead["port"])
    assert processes.of_data_folder(Path(dead["data"])) == []
    assert instances_left() == [Path(alive["data"]).parent]
    with psycopg.connect(alive["dsn"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert sweep() == []
    assert living.end() == (0, "")


def test_a_sweep_finds_a_server_whose_note_is_missing(begin: Begin, instances_left: Left) -> None:
    """Killed between the server's start and the note of it."""
    run = begin()
    up_at = run.await_up()
    run.process.kill()
    run.process.wait()
    (Path(up_at["data"]).parent / "owner.json").unlink()
    sweep()
    assert_nothing_left(instances_left, up_at["data"], up_at["port"])


def test_the_next_run_sweeps(begin: Begin, instances_left: Left) -> None:
    first = begin()
    dead = first.await_up()
    first.process.kill()
    first.process.wait()
    second = begin()
    second.await_up()
    assert any(str(dead["postmaster"]) in line for line in second.said)
    assert gone(dead["postmaster"])
    assert second.end() == (0, "")
    assert instances_left() == []


def test_two_runs_at_once_seed_once_and_do_not_meet(begin: Begin, place: Path, instances_left: Left) -> None:
    cache = str(place / "cache")
    runs = [begin(FLASHCROWD_CACHE=cache), begin(FLASHCROWD_CACHE=cache)]
    found = [run.await_up() for run in runs]
    assert sum(line.startswith("seeding") for run in runs for line in run.said) == 1
    assert found[0]["port"] != found[1]["port"]
    assert found[0]["data"] != found[1]["data"]
    assert found[0]["items"] == found[1]["items"] > 0
    assert [run.end() for run in runs] == [(0, ""), (0, "")]
    assert instances_left() == []


def test_a_forced_port_is_used(collectibles: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    port = ports.free()
    monkeypatch.setenv(ports.FORCED, str(port))
    with up(collectibles) as stack:
        assert stack.postgres.port == port


def test_a_forced_port_that_is_taken_is_said_with_advice(
    collectibles: Dataset, instances_left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as holder:
        holder.bind((ports.HOST, 0))
        holder.listen()
        port = holder.getsockname()[1]
        monkeypatch.setenv(ports.FORCED, str(port))
        with (
            pytest.raises(StackError, match=f"port {port} .*process {os.getpid()}.*unset {ports.FORCED}"),
            up(collectibles),
        ):
            pass
    assert instances_left() == []


def test_a_port_that_is_taken_between_choice_and_start_is_chosen_anew(
    collectibles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    lasting = ports.lasting
    with socket.socket() as holder:
        holder.bind((ports.HOST, 0))
        holder.listen()
        choices = [holder.getsockname()[1]]
        monkeypatch.setattr(ports, "lasting", lambda: choices.pop() if choices else lasting())
        with up(collectibles) as stack:
            assert stack.postgres.port != holder.getsockname()[1]
            assert "Address already in use" not in (stack.postgres.log_folder / "postgres.log").read_text()
        assert choices == []


def test_a_port_forced_and_taken_at_the_last_moment_is_said(
    collectibles: Dataset, instances_left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    with up(collectibles):  # so that the cache is warm and only the second start sees the port
        pass
    with socket.socket() as holder:
        holder.bind((ports.HOST, 0))
        holder.listen()
        port = holder.getsockname()[1]
        monkeypatch.setattr(ports, "forced", lambda: port)  # its check passed a moment earlier
        with pytest.raises(StackError, match=f"port {port}.*taken while the server started"), up(collectibles):
            pass
    assert instances_left() == []


def test_a_wrong_setting_is_said_in_the_servers_words(collectibles: Dataset, instances_left: Left) -> None:
    with pytest.raises(StackError) as caught, up(collectibles, work_mem="lots"):
        pass
    assert 'invalid value for parameter "work_mem": "lots"' in str(caught.value)
    assert "topology.postgres.settings" in str(caught.value)
    assert instances_left() == []


@pytest.mark.parametrize("name", ["port", "log_directory", "Logging_Collector"])
def test_a_setting_that_is_the_harnesss_own_is_refused(name: str, collectibles: Dataset) -> None:
    with pytest.raises(DefinitionError, match=name), up(collectibles, **{name: "1"}):
        pass


def test_a_server_that_is_never_ready_is_given_up_on_with_its_last_lines(
    collectibles: Dataset, instances_left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    with up(collectibles):
        pass
    monkeypatch.setattr(servers, "READY_S", 1.0)
    monkeypatch.setattr(servers, "_says_ready", lambda server, instance: False)
    with pytest.raises(StackError) as caught, up(collectibles):
        pass
    assert "waited 1 s for PostgreSQL to take connections on port" in str(caught.value)
    assert "starting PostgreSQL" in str(caught.value)
    assert instances_left() == []


def _held_files(data: Path) -> set[str]:
    """Shared-memory files that a server's processes have mapped; one that ends meanwhile holds none."""
    held: set[str] = set()
    for process in processes.of_data_folder(data):
        with suppress(FileNotFoundError, ProcessLookupError):
            words = Path(f"/proc/{process.pid}/maps").read_text().split()
            held.update(word for word in words if word.startswith("/dev/shm/"))
    return held


@pytest.mark.skipif(not Path("/proc/sysvipc/shm").exists(), reason="this system does not list shared memory")
@pytest.mark.parametrize("who", ["the server", "server and harness", "server and harness, before it was noted"])
def test_shared_memory_of_a_killed_server_is_released(who: str, begin: Begin, instances_left: Left) -> None:
    run = begin()
    up_at = run.await_up()
    memory = shared_memory.of_server(up_at["postmaster"], Path(up_at["data"]))
    assert memory.segment is not None
    assert memory.files
    named = {name for name, _ in memory.files}
    ends = time.monotonic() + 10
    while not (held := _held_files(Path(up_at["data"]))) > named:  # what the control segment lists, too, once attached
        assert time.monotonic() < ends, f"{held} holds no more than {named}"
    if who == "the server":
        psutil.Process(up_at["postmaster"]).kill()
        assert run.end() == (0, "")
    else:
        run.process.kill()
        run.process.wait()
        psutil.Process(up_at["postmaster"]).kill()
        if "noted" in who:
            (Path(up_at["data"]).parent / "owner.json").unlink()
        sweep()
    assert [name for name in held if Path(name).exists()] == []
    numbers = [line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    assert str(memory.segment[1]) not in numbers
    assert_nothing_left(instances_left, up_at["data"], up_at["port"])


def test_how_the_server_died_is_told(running: EmbeddedStack) -> None:
    assert running.check_alive() is None
    postmaster = psutil.Process(running.postgres.postmaster_pid)
    postmaster.kill()
    # Reaped by whoever asks; wait for the death without reaping it.
    os.waitid(os.P_PID, postmaster.pid, os.WEXITED | os.WNOWAIT)
    died = running.check_alive()
    assert died is not None
    assert "SIGKILL" in died
    assert "database system is ready to accept connections" in died
    with pytest.raises(StackError, match="could not be reset"):
        running.reset()


def test_settings_are_the_servers_defaults_but_for_what_measuring_needs(collectibles: Dataset) -> None:
    with up(collectibles, max_connections="33", shared_preload_libraries="auto_explain") as stack:
        described = stack.describe()["postgres"]
        assert stack.postgres.max_connections == described["max_connections"] == 33
        assert described["settings"]["shared_preload_libraries"] == "auto_explain,pg_stat_statements"
        with psycopg.connect(stack.postgres.dsn()) as connection:
            shown = dict(
                connection.execute(
                    "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)",
                    [
                        [
                            "fsync",
                            "synchronous_commit",
                            "full_page_writes",
                            "wal_level",
                            "autovacuum",
                            "deadlock_timeout",
                        ]
                    ],
                ).fetchall()
            )
    assert shown == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "wal_level": "replica",
        "autovacuum": "on",
        "deadlock_timeout": "1000",
    }


@two_cores
def test_the_server_is_held_to_its_core_and_the_load_to_the_rest(running: EmbeddedStack) -> None:
    endpoint = running.postgres
    own = cores.own_cores()
    assert own is not None and endpoint.cores is not None and running.load_cores is not None
    assert endpoint.cores == own[-1:]
    assert set(endpoint.cores) | set(running.load_cores) == set(own)
    assert not set(endpoint.cores) & set(running.load_cores)
    with psycopg.connect(endpoint.dsn()) as connection:
        for pid in (endpoint.postmaster_pid, connection.info.backend_pid):
            assert os.sched_getaffinity(pid) == set(endpoint.cores)
    assert os.sched_getaffinity(0) == set(running.load_cores)


def test_where_a_server_is_reached(running: EmbeddedStack) -> None:
    endpoint = running.postgres
    with psycopg.connect(endpoint.dsn(user=endpoint.application_user)) as connection:
        assert connection.execute("SELECT current_database(), current_user").fetchone() == ("crowd", "app")
        connection.execute("UPDATE collections SET burned = burned + 1")
        connection.execute("SELECT FROM editions ORDER BY edition_id LIMIT 1 FOR UPDATE SKIP LOCKED")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE mine ()")
    # The same through the socket beside the data folder.
    with psycopg.connect(
        host=str(endpoint.log_folder.parent), port=endpoint.port, user=endpoint.user, dbname=endpoint.database
    ) as connection:
        assert connection.execute("SELECT inet_server_addr()").fetchone() == (None,)


async def test_asyncpg_takes_the_same_address(running: EmbeddedStack) -> None:
    asyncpg = pytest.importorskip("asyncpg")
    connection = await asyncpg.connect(running.postgres.dsn())
    assert await connection.fetchval("SELECT current_database()") == "crowd"
    await connection.close()

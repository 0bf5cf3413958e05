"""Actions that have to do with streaming replicas: one is added, one is treated by its name or role."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psutil
import pytest

from harness.model import AddReplica, Dataset, FlushCache, Pause, PostgresServer, RunSql, Topology
from harness.stack.embedded import EmbeddedStack
from harness.stack.postgres.endpoint import Endpoint
from tests.integration.conftest import SCALE
from tests.integration.timeline.conftest import Actions, until
from tests.integration.timeline.test_postgres import ask, blocks_read

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def stack(dataset: Dataset, _own_cache: None) -> Iterator[EmbeddedStack]:
    """A stack with one replica."""
    topology = Topology(postgres=PostgresServer(replicas=1, settings={"max_connections": "40"}))
    with EmbeddedStack.up(topology, dataset, scale=SCALE, seed=1, say=lambda line: None) as running:
        yield running


@pytest.fixture
def actions(stack: EmbeddedStack, on: Callable[..., Actions]) -> Actions:
    return on(stack)


def primary(stack: EmbeddedStack) -> Endpoint:
    assert stack.postgres is not None
    return stack.postgres


async def test_sql_on_a_replica_stops_its_replay_and_lets_it_go_on(actions: Actions, stack: EmbeddedStack) -> None:
    running = actions.of(
        RunSql(sql="SELECT pg_wal_replay_pause()", undo="SELECT pg_wal_replay_resume()", server="postgres-replica-1")
    )
    done = await running.act()
    (replica,) = stack.replicas
    assert done.servers == ("postgres-replica-1",)
    await until(lambda: ask(replica, "SELECT pg_get_wal_replay_pause_state()") == "paused", "its replay is paused")
    assert await running.undo() is True
    assert ask(replica, "SELECT pg_get_wal_replay_pause_state()") == "not paused"


async def test_a_replicas_cache_is_emptied(actions: Actions, stack: EmbeddedStack) -> None:
    (replica,) = stack.replicas
    blocks_read(replica)
    assert blocks_read(replica)[1] == 0, "the table is in the cache"
    done = await actions.of(FlushCache(server="postgres-replica-1")).act()
    assert done.servers == ("postgres-replica-1",)
    hit, read = blocks_read(replica)
    assert hit == 0 and read > 0
    assert (
        ask(primary(stack), "SELECT count(*) FROM pg_extension WHERE extname = 'pg_buffercache'", database="postgres")
        == 0
    )


async def test_a_replica_is_added_and_all_are_treated_by_their_role(actions: Actions, stack: EmbeddedStack) -> None:
    done = await actions.of(AddReplica()).act()
    assert done.servers == ("postgres-replica-2",)
    assert [name for name, _ in done.stages][-1] == "joined the readers"
    assert {"base backup", "start"} <= {name for name, _ in done.stages}
    assert all(took_s >= 0 for _, took_s in done.stages)
    streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
    await until(lambda: ask(primary(stack), streaming) == 2, "both stream")
    assert actions.readers == [[one.dsn(user=one.application_user) for one in stack.replicas]]
    assert ask(stack.replicas[1], "SELECT count(*) FROM items") == ask(primary(stack), "SELECT count(*) FROM items")

    pausing = actions.of(Pause(server="postgres-replicas"))
    done = await pausing.act()
    assert done.servers == ("postgres-replica-1", "postgres-replica-2")
    pids = [one.postmaster_pid for one in stack.replicas if one.postmaster_pid is not None]
    assert [psutil.Process(pid).status() for pid in pids] == [psutil.STATUS_STOPPED] * len(pids)
    assert await pausing.undo() is True
    assert ask(primary(stack), streaming) == 2
    stack.reset()
    assert len(stack.replicas) == 1, "the reset takes away what the timeline added"

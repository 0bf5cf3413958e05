"""Actions on a PostgreSQL: what each does and what is left after its undoing, by a session of the test's own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import psutil
import psycopg
import pytest

from harness.errors import StackError
from harness.model import (
    CreateIndex,
    DropIndex,
    FlushCache,
    Kill,
    Pause,
    RunSql,
    SetCpus,
    Stop,
)
from harness.stack import cores
from harness.stack.embedded import EmbeddedStack
from harness.stack.postgres.endpoint import Endpoint
from tests.integration.timeline.conftest import Actions, broken_off, until

pytestmark = pytest.mark.server

ITEMS = "items_of_collector"
NEW = CreateIndex(name="by_collection", on="items", keys=("collection_id", "item_id DESC"), where="burned_by IS NULL")


@pytest.fixture
def actions(postgres: Endpoint, stack: EmbeddedStack, on: Callable[..., Actions]) -> Actions:
    """On the session's PostgreSQL, its database as it was seeded."""
    return on(stack)


def ask(postgres: Endpoint, query: str, *arguments: object, database: str | None = None) -> Any:
    """One value."""
    with psycopg.connect(postgres.dsn(database=database), autocommit=True, connect_timeout=5) as connection:
        cursor = connection.execute(query.encode(), arguments or None)
        row = cursor.fetchone() if cursor.description else None
    return row and row[0]


def definition(postgres: Endpoint, index: str) -> str | None:
    return ask(postgres, "SELECT indexdef FROM pg_indexes WHERE indexname = %s", index)  # type: ignore[no-any-return]


@pytest.mark.parametrize("concurrently", [False, True])
async def test_an_index_is_created_and_dropped_again(actions: Actions, postgres: Endpoint, concurrently: bool) -> None:
    index = CreateIndex(name=NEW.name, on="public.items", keys=NEW.keys, where=NEW.where, concurrently=concurrently)
    creating = actions.of(index)
    assert await creating.act() is not None
    assert definition(postgres, "by_collection") == (
        "CREATE INDEX by_collection ON public.items USING btree (collection_id, item_id DESC) WHERE (burned_by IS NULL)"
    )
    assert await creating.undo() is True
    assert definition(postgres, "by_collection") is None
    assert await creating.undo() is False, "there is nothing left to undo"


async def test_an_index_that_was_there_before_is_not_dropped(actions: Actions, postgres: Endpoint) -> None:
    creating = actions.of(CreateIndex(name=ITEMS, on="items", keys=("collector_id",)))
    with pytest.raises(StackError, match="is there already"):
        await creating.act()
    assert await creating.undo() is False
    assert definition(postgres, ITEMS) is not None


async def test_an_index_that_was_broken_off_half_way_is_dropped(actions: Actions, postgres: Endpoint) -> None:
    creating = actions.of(CreateIndex(name="halfway", on="items", keys=("collection_id",), concurrently=True))
    invalid = "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE relname = 'halfway' AND NOT indisvalid"
    with psycopg.connect(postgres.dsn()) as session:
        session.execute("UPDATE items SET burned_by = burned_by WHERE item_id = 1")  # which a build waits for
        act = asyncio.create_task(creating.act())
        await until(lambda: ask(postgres, invalid) == 1, "the build has begun")
        await broken_off(act)
        session.rollback()
    assert ask(postgres, invalid) == 1, "the server leaves it behind"
    assert await creating.undo() is True
    assert ask(postgres, "SELECT to_regclass('halfway')") is None
    assert ask(postgres, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'flashcrowd-timeline'") == 0


@pytest.mark.parametrize("concurrently", [False, True])
async def test_an_index_is_dropped_and_created_again_as_it_was(
    actions: Actions, postgres: Endpoint, concurrently: bool
) -> None:
    before = definition(postgres, "editions_free")
    dropping = actions.of(DropIndex(name="editions_free", concurrently=concurrently))
    await dropping.act()
    assert definition(postgres, "editions_free") is None
    assert await dropping.undo() is True
    assert before is not None and definition(postgres, "editions_free") == before


async def test_an_index_that_is_not_there_cannot_be_dropped(actions: Actions) -> None:
    dropping = actions.of(DropIndex(name="no_such"))
    with pytest.raises(StackError, match="there is no index no_such"):
        await dropping.act()
    assert await dropping.undo() is False


async def test_sql_is_run_and_its_undo(actions: Actions, postgres: Endpoint) -> None:
    running = actions.of(
        RunSql(
            sql="ALTER TABLE items SET (autovacuum_enabled = off); CREATE TABLE beside (id int)",
            undo="ALTER TABLE items RESET (autovacuum_enabled); DROP TABLE beside",
        )
    )
    options = "SELECT reloptions::text FROM pg_class WHERE relname = 'items'"
    before = ask(postgres, options)
    await running.act()
    assert "autovacuum_enabled=off" in ask(postgres, options)
    assert ask(postgres, "SELECT to_regclass('beside') IS NOT NULL")
    assert await running.undo() is True
    assert ask(postgres, options) == before
    assert ask(postgres, "SELECT to_regclass('beside') IS NULL")


LOCKS = "SELECT count(*) FROM pg_locks WHERE relation = 'items'::regclass AND mode = 'AccessExclusiveLock' AND granted"


async def test_a_transaction_is_held_open_until_it_is_undone(actions: Actions, postgres: Endpoint) -> None:
    running = actions.of(RunSql(sql="BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE", keep_open=True))
    await running.act()
    assert ask(postgres, LOCKS) == 1
    assert await running.undo() is True
    await until(lambda: ask(postgres, LOCKS) == 0, "the lock is gone")


async def test_a_statement_that_is_broken_off_ends_at_the_server_too(actions: Actions, postgres: Endpoint) -> None:
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
    running = actions.of(RunSql(sql="SELECT pg_sleep(600)"))
    act = asyncio.create_task(running.act())
    await until(lambda: ask(postgres, sleeping) == 1, "it sleeps")
    await broken_off(act)
    await until(lambda: ask(postgres, sleeping) == 0, "it sleeps no more")
    assert await running.undo() is False


def blocks_read(postgres: Endpoint) -> tuple[int, int]:
    """Blocks of a whole table that were found in the cache, and those that were not."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        row = connection.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT count(*) FROM items").fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return plan["Shared Hit Blocks"], plan["Shared Read Blocks"]


async def test_the_cache_is_emptied(actions: Actions, postgres: Endpoint) -> None:
    blocks_read(postgres)
    hit, read = blocks_read(postgres)
    assert hit > 0 and read == 0, "the table is in the cache"
    done = await actions.of(FlushCache()).act()
    assert blocks_read(postgres) == (0, hit)
    assert "buffers evicted" in done.note
    assert ask(postgres, "SELECT count(*) FROM pg_extension WHERE extname = 'pg_buffercache'", database="postgres") == 0


async def test_the_cache_is_emptied_by_a_restart(actions: Actions, stack: EmbeddedStack, postgres: Endpoint) -> None:
    started = "SELECT pg_postmaster_start_time()"
    before = ask(postgres, started)
    flushing = actions.of(FlushCache(restart=True))
    await flushing.act()
    assert ask(postgres, started) > before
    assert blocks_read(postgres)[1] > 0
    assert await flushing.undo() is False
    assert stack.check_alive() is None


def states(stack: EmbeddedStack) -> set[str]:
    """What the system says that the server's processes do."""
    assert stack.postgres is not None and stack.postgres.postmaster_pid is not None
    root = psutil.Process(stack.postgres.postmaster_pid)
    return {process.status() for process in (root, *root.children())}


async def test_a_paused_server_hangs_and_goes_on(actions: Actions, stack: EmbeddedStack, postgres: Endpoint) -> None:
    with psycopg.connect(postgres.dsn(), autocommit=True) as session:
        pausing = actions.of(Pause(server="postgres"))
        done = await pausing.act()
        assert done.servers == ("postgres",)
        assert states(stack) == {psutil.STATUS_STOPPED}
        assert stack.check_alive() is None, "it is down on purpose"
        answer = asyncio.create_task(asyncio.to_thread(lambda: session.execute("SELECT 1").fetchone()))
        assert not (await asyncio.wait({answer}, timeout=0.3))[0], "nobody answers"
        assert await pausing.undo() is True
        assert psutil.STATUS_STOPPED not in states(stack)
        assert await answer == (1,), "its connections stayed open"


@pytest.mark.parametrize("action", [Stop(server="postgres"), Kill(server="postgres")], ids=["stop", "kill"])
async def test_a_server_that_was_taken_down_comes_back(
    actions: Actions, stack: EmbeddedStack, postgres: Endpoint, action: Stop | Kill
) -> None:
    ask(postgres, "CREATE TABLE kept AS SELECT 1 AS one")
    before = ask(postgres, "SELECT pg_postmaster_start_time()")
    taking_down = actions.of(action)
    await taking_down.act()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        ask(postgres, "SELECT 1")
    assert stack.check_alive() is None, "it is down on purpose"
    assert await taking_down.undo() is True
    assert ask(postgres, "SELECT pg_postmaster_start_time()") > before
    assert ask(postgres, "SELECT one FROM kept") == 1, "what was committed is there"
    log = (postgres.log_folder / "postgres.log").read_text() if postgres.log_folder else ""
    recovered = "database system was not properly shut down" in log.rpartition("starting PostgreSQL")[2]
    assert recovered is isinstance(action, Kill)


@pytest.mark.skipif(len(cores.own_cores() or ()) < 2, reason="one core, or a system that holds nothing to cores")
async def test_a_server_gets_other_cores_and_its_own_again(actions: Actions, stack: EmbeddedStack) -> None:
    def held() -> set[int]:
        assert stack.postgres is not None and stack.postgres.postmaster_pid is not None
        return os.sched_getaffinity(stack.postgres.postmaster_pid)

    before = held()
    setting = actions.of(SetCpus(server="postgres", cpus=2))
    await setting.act()
    assert len(held()) == 2 and len(before) == 1
    assert await setting.undo() is True
    assert held() == before

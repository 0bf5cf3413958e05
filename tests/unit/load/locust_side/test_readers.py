"""Reads are spread over the replicas that there are, also when their list changes."""

import asyncio
from typing import Any

import pytest

from harness.load.locust_side import reader_pool
from harness.load.locust_side.reader_pool import ReaderPool
from harness.load.locust_side.readers import Readers

from .fakes import FakeDriver

ALL = ("one", "two", "three")


@pytest.fixture
def servers() -> dict[str, FakeDriver]:
    return {name: FakeDriver() for name in (*ALL, "primary")}


def make(servers: dict[str, FakeDriver], *names: str) -> Readers:
    return Readers(servers.__getitem__, names, fallback="primary")


def opened(servers: dict[str, FakeDriver]) -> list[int]:
    return [server.open for server in servers.values()]


async def test_connections_go_where_there_are_fewest(servers: dict[str, FakeDriver]) -> None:
    readers = make(servers, *ALL)
    made = await asyncio.gather(*(readers.connect() for _ in range(7)))
    assert opened(servers) == [3, 2, 2, 0]
    for connection in made:
        await readers.close(connection)
    assert opened(servers) == [0, 0, 0, 0]
    assert set(readers.open().values()) == {0}


async def test_reads_go_to_the_primary_while_there_is_no_replica(servers: dict[str, FakeDriver]) -> None:
    readers = make(servers)
    pool = ReaderPool(readers, 4, None)
    first = await pool.acquire()
    assert pool.give(first)
    readers.use(["two"])
    await pool.sift()
    assert opened(servers) == [0, 0, 0, 0]
    await pool.acquire()
    assert opened(servers) == [0, 1, 0, 0]


async def test_one_that_joins_gets_its_part_of_a_pool_that_is_full(servers: dict[str, FakeDriver]) -> None:
    readers = make(servers, "one", "two")
    pool = ReaderPool(readers, 6, None)
    lent = [await pool.acquire() for _ in range(6)]
    for connection in lent[:3]:
        assert pool.give(connection)
    readers.use(ALL)
    await pool.sift()
    for connection in lent[3:]:
        if not pool.give(connection):
            await pool.release(connection, failed=False)
    lent = [await asyncio.wait_for(pool.acquire(), 1) for _ in range(6)]
    assert opened(servers) == [2, 2, 2, 0]
    assert pool.open == 6


async def test_who_waits_gets_the_place_of_a_connection_that_went(servers: dict[str, FakeDriver]) -> None:
    readers = make(servers, "one")
    pool = ReaderPool(readers, 1, None)
    lent = await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    readers.use(["two"])
    await pool.release(lent, failed=False)
    assert await asyncio.wait_for(waiting, 1) in servers["two"].made
    assert opened(servers) == [0, 1, 0, 0]


async def test_one_that_leaves_is_left(servers: dict[str, FakeDriver]) -> None:
    readers = make(servers, "one", "two")
    pool = ReaderPool(readers, 4, None)
    for connection in [await pool.acquire() for _ in range(4)]:
        assert pool.give(connection)
    readers.use(["two"])
    await pool.sift()
    assert opened(servers) == [0, 2, 0, 0]
    assert (pool.open, pool.idle) == (2, 2)


async def test_one_that_refuses_is_passed_over_and_all_refusing_is_an_error(servers: dict[str, FakeDriver]) -> None:
    servers["one"].refuse = ConnectionRefusedError("one")
    readers = make(servers, "one", "two")
    for _ in range(3):
        await readers.connect()
    assert opened(servers) == [0, 3, 0, 0]
    servers["two"].refuse = ConnectionRefusedError("two")
    with pytest.raises(ConnectionRefusedError, match="one"):
        await readers.connect()
    assert readers.open() == {"one": 0, "two": 3}


async def test_connections_that_a_server_closed_are_no_longer_counted(servers: dict[str, FakeDriver]) -> None:
    readers = make(servers, "one", "two")
    made: list[Any] = [await readers.connect() for _ in range(4)]
    for connection in servers["one"].made:
        connection.open = False
    assert [readers.usable(connection) for connection in made] == [False, True, False, True]
    assert readers.open() == {"one": 0, "two": 2}


async def test_requests_take_turns_also_where_one_connection_would_do(servers: dict[str, FakeDriver]) -> None:
    readers = make(servers, *ALL)
    pool = ReaderPool(readers, 9, None)
    used: list[Any] = []
    for _ in range(12):  # one after the other
        connection = pool.take() or await pool.acquire()
        used.append(connection)
        assert pool.give(connection)
    assert opened(servers) == [1, 1, 1, 0]
    assert [sum(connection in servers[name].made for connection in used) for name in ALL] == [4, 4, 4]


async def test_a_full_pool_takes_what_is_idle_out_of_turn(servers: dict[str, FakeDriver]) -> None:
    readers = make(servers, "one", "two")
    pool = ReaderPool(readers, 2, None)
    first, second = await pool.acquire(), await pool.acquire()
    assert pool.give(first)
    assert await asyncio.wait_for(pool.acquire(), 1) is first
    assert pool.give(first)
    assert await asyncio.wait_for(pool.acquire(), 1) is first, "the other is lent"
    assert pool.give(second)
    assert opened(servers) == [1, 1, 0, 0]


async def test_one_that_was_away_gets_its_part_again(
    servers: dict[str, FakeDriver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_pool, "BALANCE_S", 0.0)
    servers["two"].refuse = ConnectionRefusedError("two")
    readers = make(servers, "one", "two")
    pool = ReaderPool(readers, 4, None)
    for connection in [await pool.acquire() for _ in range(4)]:
        if not pool.give(connection):
            await pool.release(connection, failed=False)
    assert servers["two"].open == 0
    servers["two"].refuse = None
    for _ in range(8):
        connection = pool.take() or await pool.acquire()
        if not pool.give(connection):
            await pool.release(connection, failed=False)
    assert servers["two"].open >= 1
    assert pool.open == sum(opened(servers)) <= 4

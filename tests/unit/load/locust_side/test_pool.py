"""The pool is bounded, fair, and loses no connection, whatever goes wrong in between."""

import asyncio
import random
import threading

import pytest

from harness.load.locust_side import pool as pool_module
from harness.load.locust_side.outcome import PoolTimeout
from harness.load.locust_side.pool import Pool

from .fakes import FakeDriver


async def test_opens_only_what_is_needed_and_reuses_the_last() -> None:
    driver = FakeDriver()
    pool = Pool(driver, 5, None)
    first, second = await pool.acquire(), await pool.acquire()
    await pool.release(first, failed=False)
    await pool.release(second, failed=False)
    assert await pool.acquire() is second
    assert (pool.open, pool.idle, len(driver.made)) == (2, 1, 2)


async def test_who_waits_longest_is_served_first() -> None:
    pool = Pool(FakeDriver(), 1, None)
    lent = await pool.acquire()
    served: list[int] = []

    async def take(number: int) -> None:
        connection = await pool.acquire()
        served.append(number)
        await pool.release(connection, failed=False)

    tasks = [asyncio.create_task(take(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert pool.waiting == 5
    await pool.release(lent, failed=False)
    await asyncio.gather(*tasks)
    assert served == [0, 1, 2, 3, 4]


async def test_waiting_too_long_is_a_pool_timeout_and_costs_nobody_a_connection() -> None:
    pool = Pool(FakeDriver(), 1, 0.01)
    lent = await pool.acquire()
    with pytest.raises(PoolTimeout):
        await pool.acquire()
    assert pool.waiting == 0
    await pool.release(lent, failed=False)
    assert await pool.acquire() is lent


async def test_a_failed_connection_is_cleaned_and_kept() -> None:
    driver = FakeDriver()
    pool = Pool(driver, 1, None)
    lent = await pool.acquire()
    lent.in_transaction = True
    await pool.release(lent, failed=True)
    assert (await pool.acquire()) is lent
    assert (driver.cleaned, lent.in_transaction) == (1, False)


async def test_a_connection_that_cannot_be_cleaned_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "CLEAN_LIMIT_S", 0.01)
    driver = FakeDriver(slow_clean=True)
    pool = Pool(driver, 1, None)
    lent = await pool.acquire()
    await pool.release(lent, failed=True)
    assert not lent.open
    assert (await pool.acquire()) is not lent
    assert pool.open == 1


async def test_a_lost_connection_gives_its_place_to_who_waits() -> None:
    driver = FakeDriver()
    pool = Pool(driver, 1, None)
    lent = await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    lent.open = False
    await pool.release(lent, failed=True)
    assert await waiting is driver.made[1]
    assert pool.open == 1


async def test_a_refused_connection_gives_its_place_back() -> None:
    driver = FakeDriver(refuse=ConnectionRefusedError())
    pool = Pool(driver, 1, None)
    with pytest.raises(ConnectionRefusedError):
        await pool.acquire()
    assert pool.open == 0
    driver.refuse = None
    await pool.acquire()
    assert pool.open == 1


async def test_close_closes_idle_at_once_and_lent_at_their_release() -> None:
    driver = FakeDriver()
    pool = Pool(driver, 2, None)
    first, second = await pool.acquire(), await pool.acquire()
    await pool.release(first, failed=False)
    await pool.close()
    assert (first.open, second.open) == (False, True)
    await pool.release(second, failed=False)
    assert driver.open == 0


@pytest.mark.parametrize("seed", range(5))
async def test_any_mix_of_failures_leaves_the_pool_whole(seed: int) -> None:
    """Timeouts, cancellations, lost and refused connections at random: never more than the size, nothing leaks."""
    source = random.Random(seed)
    driver = FakeDriver()
    pool = Pool(driver, 3, 0.005)

    async def request() -> None:
        try:
            driver.refuse = ConnectionRefusedError() if source.random() < 0.1 else None
            connection = await pool.acquire()
        except (PoolTimeout, ConnectionRefusedError):
            return
        assert pool.open <= 3
        assert driver.open <= 3
        try:
            await asyncio.sleep(source.random() * 0.004)
        finally:
            if source.random() < 0.2:
                connection.open = False
            await pool.release(connection, failed=source.random() < 0.3)

    for _ in range(20):
        tasks = [asyncio.create_task(request()) for _ in range(12)]
        for task in tasks:
            if source.random() < 0.2:
                asyncio.get_running_loop().call_later(source.random() * 0.004, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
    assert (pool.waiting, pool.open) == (0, pool.idle)
    await pool.close()
    assert driver.open == 0


async def test_take_and_give_spare_the_wait() -> None:
    driver = FakeDriver()
    pool = Pool(driver, 2, None)
    assert pool.take() is None
    lent = await pool.acquire()
    assert pool.give(lent)
    assert pool.take() is lent
    lent.open = False
    assert not pool.give(lent)
    await pool.release(lent, failed=True)
    assert (pool.open, pool.idle) == (0, 0)


async def test_give_serves_who_waits() -> None:
    pool = Pool(FakeDriver(), 1, None)
    lent = await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    assert pool.give(lent)
    assert await waiting is lent


async def test_waiting_is_read_from_another_thread_while_it_changes() -> None:
    """The engine's telemetry does so on Locust's thread."""
    pool = Pool(FakeDriver(), 2, 0.001)
    seen: list[int] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.append(pool.waiting)

    async def request() -> None:
        try:
            connection = await pool.acquire()
        except PoolTimeout:
            return
        await asyncio.sleep(0)
        await pool.release(connection, failed=False)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(30):
        await asyncio.gather(*(request() for _ in range(200)))
    stop.set()
    reader.join()
    assert max(seen) > 0
    assert pool.waiting == 0

"""The alarm never rings early, rings again and again, and leaves no descriptor behind."""

import asyncio
from pathlib import Path
from time import monotonic_ns

import pytest

from harness.load.locust_side.alarm import Alarm, sleep_until


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize("without_timerfd", [False, True], ids=["timerfd", "sleep"])
async def test_never_early(without_timerfd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if without_timerfd:
        monkeypatch.setattr("sys.platform", "elsewhere")
    alarm = Alarm()
    for wait_ns in (0, 1, 50_000, 300_000, 1_500_000, 7_000_000, 40_000):
        due = monotonic_ns() + wait_ns
        await alarm.at(due)
        assert monotonic_ns() >= due
    alarm.close()


async def test_a_time_gone_by_is_now() -> None:
    alarm = Alarm()
    await alarm.at(monotonic_ns() - 10**9)
    await sleep_until(monotonic_ns() - 10**9)
    alarm.close()


async def test_survives_a_cancelled_wait() -> None:
    alarm = Alarm()
    waiting = asyncio.create_task(alarm.at(monotonic_ns() + 2_000_000))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0.01)
    due = monotonic_ns() + 1_000_000
    await alarm.at(due)
    assert monotonic_ns() >= due
    alarm.close()


async def test_leaves_no_descriptor() -> None:
    before = descriptors()
    for _ in range(20):
        alarm = Alarm()
        await alarm.at(monotonic_ns() + 1000)
        alarm.close()
        alarm.close()
    assert descriptors() == before

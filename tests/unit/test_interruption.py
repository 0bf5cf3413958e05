"""Of the two signals either may be the first, and either the second."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from harness.interruption import SIGNALS, Interruption


@pytest.mark.parametrize("second", SIGNALS, ids=lambda number: f"then {number.name}")
@pytest.mark.parametrize("first", SIGNALS, ids=lambda number: number.name)
async def test_the_first_is_told_and_the_second_cancels(first: signal.Signals, second: signal.Signals) -> None:
    said: list[str] = []
    interruption = Interruption(said.append)
    interruption.means = "ending the load"

    async def work() -> None:
        with interruption.listening():
            os.kill(os.getpid(), first)
            await interruption.wait()
            assert said == [f"{first.name}: ending the load; once more ends at once"]
            os.kill(os.getpid(), second)
            await asyncio.Event().wait()

    async with asyncio.timeout(60):
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(work())
    assert interruption.requested
    assert said[1:] == [f"{second.name} again: ending at once"]

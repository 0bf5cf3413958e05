"""What the harness says of itself."""

from __future__ import annotations

import asyncio
import time

from harness.probes.harness import LAG_EVERY_S, HarnessProbe


async def measured(probe: HarnessProbe) -> dict[str, float]:
    return {sample.metric: sample.value for sample in await probe.sample(1.0)}


async def test_a_blocked_loop_shows_as_lag_once() -> None:
    probe = HarnessProbe()
    first = await measured(probe)
    assert "flashcrowd_harness_loop_lag_seconds" not in first, "nothing was measured yet"
    assert first["flashcrowd_harness_resident_bytes"] > 1_000_000
    time.sleep(LAG_EVERY_S + 0.3)  # noqa: ASYNC251 - blocking the loop is the point
    await asyncio.sleep(0)
    assert (await measured(probe))["flashcrowd_harness_loop_lag_seconds"] >= 0.3
    async with asyncio.timeout(30):
        later = 0.3
        while later >= 0.3:  # a busy machine may block it for a moment more
            await asyncio.sleep(3 * LAG_EVERY_S)
            later = (await measured(probe))["flashcrowd_harness_loop_lag_seconds"]
    await probe.close()
    await probe.close()


async def test_cpu_is_the_process_own() -> None:
    probe = HarnessProbe()
    before, began = (await measured(probe))["flashcrowd_harness_cpu_seconds_total"], time.process_time()
    while time.process_time() - began < 0.1:
        pass
    assert (await measured(probe))["flashcrowd_harness_cpu_seconds_total"] - before >= 0.1
    await probe.close()

"""What the harness itself uses, so that nobody has to believe that it was little."""

from __future__ import annotations

import asyncio
import time

import psutil

from harness.model import Sample

LAG_EVERY_S = 0.05


class HarnessProbe:
    """CPU, memory and event-loop lag of this process. Begins to watch the loop at its first sample."""

    name = "harness"

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self._worst_s: float | None = None

    async def sample(self, at_s: float) -> list[Sample]:
        """``flashcrowd_harness_cpu_seconds_total``, ``…_resident_bytes`` and ``…_loop_lag_seconds``: the worst since the last sample."""
        values = {
            "flashcrowd_harness_cpu_seconds_total": time.process_time(),
            "flashcrowd_harness_resident_bytes": float(self._process.memory_info().rss),
        }
        lag_s = self._take_lag()
        if lag_s is not None:
            values["flashcrowd_harness_loop_lag_seconds"] = lag_s
        return [Sample(at_s=at_s, metric=metric, value=value) for metric, value in values.items()]

    async def close(self) -> None:
        """Stop watching the loop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take_lag(self) -> float | None:
        """The worst lag since the last call; None until a timer ran."""
        if self._timer is None:
            self._arm()
            return None
        # A timer that is due and has not run yet is late as well, by at least this; what is said now is not said again.
        now_s = asyncio.get_running_loop().time()
        waiting_s = now_s - self._due_s
        self._due_s = max(self._due_s, now_s)
        worst_s, self._worst_s = self._worst_s, None
        if worst_s is None:
            return waiting_s if waiting_s > 0 else None
        return max(worst_s, waiting_s)

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._due_s = loop.time() + LAG_EVERY_S
        self._timer = loop.call_at(self._due_s, self._fired)

    def _fired(self) -> None:
        late_s = max(0.0, asyncio.get_running_loop().time() - self._due_s)
        self._worst_s = late_s if self._worst_s is None else max(self._worst_s, late_s)
        self._arm()

"""How long a server takes to be ready, from the cache, and to be put back to the seeded state."""

from __future__ import annotations

import asyncio
import time

from harness import catalog
from harness.stack.embedded import EmbeddedStack
from tests.bench.bed import CRAFTING_BURST, Bed
from tests.bench.row import Limit, Row, of_values

FIGURE = "stack"


async def measure(bed: Bed) -> list[Row]:
    """The crafting burst's server with its whole dataset."""
    return await asyncio.to_thread(_measure, bed)


def _measure(bed: Bed) -> list[Row]:
    incident = catalog.load_folder(CRAFTING_BURST)
    ready_s: list[float] = []
    reset_s: list[float] = []
    for number in range(bed.extent.rounds + 1):
        up = EmbeddedStack.up(incident.topology, incident.dataset, scale=1.0, seed=1, say=bed.say)
        begun = time.perf_counter()
        with up as stack:
            took_s = time.perf_counter() - begun
            if number == 0:
                continue  # this one fills the cache, where it is empty
            ready_s.append(took_s)
            begun = time.perf_counter()
            stack.reset()
            reset_s.append(time.perf_counter() - begun)
            bed.say(f"  round {number} of {bed.extent.rounds}: ready {ready_s[-1]:.3g} s, reset {reset_s[-1]:.3g} s")
    what = "crafting burst, whole dataset:"
    return [
        of_values(FIGURE, f"{what} ready from the cache", ready_s, limit=Limit(comparator="<=", value=3.0), unit="s"),
        of_values(FIGURE, f"{what} reset to seeded", reset_s, limit=Limit(comparator="<=", value=2.0), unit="s"),
    ]

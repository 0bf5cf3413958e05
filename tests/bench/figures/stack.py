"""How long servers take to be ready, from the cache, and to be put back to the seeded state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from harness import catalog
from harness.model import Dataset, MongoReplicaSet, Topology
from harness.stack.embedded import EmbeddedStack
from harness.stack.started import StartedStack
from tests.bench.bed import CRAFTING_BURST, Bed
from tests.bench.row import Limit, Row, of_values

FIGURE = "stack"
#: What it is, its servers and data, and the limits of ready and reset in seconds.
PLAYERS = (
    "replica set of three, 400,000 players:",
    Topology(postgres=None, mongo=MongoReplicaSet()),
    Dataset(module="fixtures.players", version=1),
    5.0,
    3.0,
)


async def measure(bed: Bed) -> list[Row]:
    """The crafting burst's server with its whole dataset, and a replica set of three with all players."""
    incident = catalog.load_folder(CRAFTING_BURST)
    burst = ("crafting burst, whole dataset:", incident.topology, incident.dataset, 3.0, 2.0)
    up = EmbeddedStack.up
    rows = await asyncio.to_thread(ready_and_reset, FIGURE, up, bed, *burst)
    return [*rows, *await asyncio.to_thread(ready_and_reset, FIGURE, up, bed, *PLAYERS)]


def ready_and_reset(
    figure: str,
    up: Callable[..., AbstractContextManager[StartedStack]],
    bed: Bed,
    what: str,
    topology: Topology,
    dataset: Dataset,
    ready_limit_s: float,
    reset_limit_s: float,
) -> list[Row]:
    """How long a provider's stack takes.

    :param up: of the provider
    """
    ready_s: list[float] = []
    reset_s: list[float] = []
    for number in range(bed.extent.rounds + 1):
        begun = time.perf_counter()
        with up(topology, dataset, scale=1.0, seed=1, say=bed.say) as stack:
            took_s = time.perf_counter() - begun
            if number == 0:
                continue  # this one fills the cache, where it is empty
            ready_s.append(took_s)
            begun = time.perf_counter()
            stack.reset()
            reset_s.append(time.perf_counter() - begun)
            bed.say(f"  round {number} of {bed.extent.rounds}: ready {ready_s[-1]:.3g} s, reset {reset_s[-1]:.3g} s")
    return [
        of_values(
            figure, f"{what} ready from the cache", ready_s, limit=Limit(comparator="<=", value=ready_limit_s), unit="s"
        ),
        of_values(
            figure, f"{what} reset to seeded", reset_s, limit=Limit(comparator="<=", value=reset_limit_s), unit="s"
        ),
    ]

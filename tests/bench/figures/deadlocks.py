"""Deadlocks as the clients, the server's log and its counter have them: equal in every run."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from harness import catalog
from harness.deadlocks import count_deadlocks
from harness.model import DeadlockCount
from harness.record.reader import Run
from tests.bench.bed import CRAFTING_BURST, Bed
from tests.bench.row import Limit, NotMeasured, Row, of_values

#: Of 30 s as declared: the doors open after a sixth of it.
SHORTENED_S = 18.0
QUICK_S = 12.0


async def measure(bed: Bed) -> list[Row]:
    """The crafting burst before its fix, shortened, with another seed each time."""
    incident = catalog.load_folder(CRAFTING_BURST)
    seconds = QUICK_S if bed.extent.quick else SHORTENED_S
    counts: list[DeadlockCount] = []
    for seed in range(1, bed.extent.rounds + 1):
        await asyncio.to_thread(bed.stack.reset)
        run = Run(await bed.run(incident, CRAFTING_BURST, seconds=seconds, seed=seed))
        count = count_deadlocks(run)
        bed.say(f"  seed {seed}: {count}")
        if count is None or count.agree is None:
            raise NotMeasured(f"deadlocks of seed {seed} were not counted by all three: {count}")
        counts.append(count)
    if not any(count.client for count in counts):
        raise NotMeasured("no run had a deadlock, so there was nothing to count")
    told = ", ".join(f"{count.client} = {count.log} = {count.counter}" for count in counts)
    return [
        of_values(
            "deadlocks",
            "crafting burst: runs in which client, log and counter differ",
            [float(sum(not count.agree for count in counts))],
            limit=Limit(comparator="==", value=0.0),
            note=f"client = log = counter: {told}",
            detail={"runs": [asdict(count) for count in counts]},
        )
    ]

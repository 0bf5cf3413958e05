"""As it was: two counters are locked as they were drawn, and it takes a moment from the one to the other."""

from typing import Any

from harness.load.locust_side import Arrival
from loadtests.crafting_burst.variants import after

LOCK = "SELECT burned FROM collections WHERE collection_id = $1 FOR UPDATE"
LAST = 6


async def craft(db: Any, arrival: Arrival) -> None:
    """A craft behind two locks."""
    first, second = arrival.random.sample(range(1, LAST + 1), 2)
    async with db.transaction():
        await db.fetchval(LOCK, first)
        await db.execute("SELECT pg_sleep(0.02)")
        await db.fetchval(LOCK, second)
        await after.craft(db, arrival)


async def view_recipe(db: Any, arrival: Arrival) -> None:
    """The recipe page, which locks nothing."""
    await after.view_recipe(db, arrival)

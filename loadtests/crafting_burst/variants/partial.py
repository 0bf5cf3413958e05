"""Day two: the random choice is made outside the database, the needlessly complex queries are still in."""

from typing import Any

from harness.load.locust_side import Arrival
from loadtests.crafting_burst.variants import after, before


async def craft(db: Any, arrival: Arrival) -> None:
    """As after the fix."""
    await after.craft(db, arrival)


async def view_recipe(db: Any, arrival: Arrival) -> None:
    """As before the fix."""
    await before.view_recipe(db, arrival)

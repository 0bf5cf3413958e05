"""A craft that takes a fifth of a second, and a save that takes none."""

from typing import Any

from harness.load.locust_side import Arrival
from loadtests.crafting_burst.variants import after

PLAYERS = 1000


async def craft(db: Any, arrival: Arrival) -> None:
    """A craft that holds its connection for a while."""
    await db.execute("SELECT pg_sleep(0.2)")
    await after.craft(db, arrival)


async def save_progress(database: Any, arrival: Arrival) -> None:
    """One player's progress."""
    player = arrival.random.randint(1, PLAYERS)
    await database.players.update_one(
        {"_id": player}, {"$inc": {"saves": 1}, "$push": {"saved_by": arrival.request_id}}
    )

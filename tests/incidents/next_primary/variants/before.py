"""A quick write, and a read that takes so long that there is always one in the middle of it."""

from typing import Any

from harness.load.locust_side import Arrival

PLAYERS = 1000


async def save_progress(database: Any, arrival: Arrival) -> None:
    """One player's progress."""
    player = arrival.random.randint(1, PLAYERS)
    await database.players.update_one(
        {"_id": player}, {"$inc": {"saves": 1}, "$push": {"saved_by": arrival.request_id}}
    )


async def rank(database: Any, arrival: Arrival) -> None:
    """Seven tenths of a second on the primary."""
    await database.players.find_one({"_id": 1, "$where": "sleep(700) || true"}, {"gold": 1})

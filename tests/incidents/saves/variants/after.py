"""Fixed: a save is one update."""

from typing import Any

from harness.load.locust_side import Arrival

#: Players of the smallest scale that tests use.
PLAYERS = 1000


async def save_progress(database: Any, arrival: Arrival) -> None:
    """One player's progress."""
    player = arrival.random.randint(1, PLAYERS)
    await database.players.update_one(
        {"_id": player}, {"$inc": {"saves": 1}, "$push": {"saved_by": arrival.request_id}}
    )


async def view_alliance(database: Any, arrival: Arrival) -> None:
    """The players of an alliance at one's level."""
    alliance = arrival.random.randint(1, 100)
    await database.players.find({"level": 7, "alliance": alliance}, {"blob": 0}).to_list()

"""As it was: a save takes its alliance's lock and does not wait for it."""

import asyncio
from typing import Any

from harness.load.locust_side import Arrival

#: Players of the smallest scale that tests use.
PLAYERS = 1000
LOCKS = 4


async def save_progress(database: Any, arrival: Arrival) -> None:
    """A save behind a lock."""
    player, lock = arrival.random.randint(1, PLAYERS), arrival.random.randint(1, LOCKS)
    await database.locks.insert_one({"_id": lock})
    try:
        await asyncio.sleep(0.02)
        await database.players.update_one(
            {"_id": player}, {"$inc": {"saves": 1}, "$push": {"saved_by": arrival.request_id}}
        )
    finally:
        await database.locks.delete_one({"_id": lock})


async def view_alliance(database: Any, arrival: Arrival) -> None:
    """The players of an alliance at one level, which locks nothing."""
    alliance = arrival.random.randint(1, 100)
    await database.players.find({"level": 7, "alliance": alliance}, {"blob": 0}).to_list()

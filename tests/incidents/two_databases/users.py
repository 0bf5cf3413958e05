"""Collectors who craft, on PostgreSQL, and players who save, on MongoDB."""

from typing import Any

from harness.load.locust_side import Arrival, MongoUser, PostgresUser, chosen_variant, operation

variant = chosen_variant(__file__)


class Collector(PostgresUser):
    """Crafts a collectible."""

    @operation
    async def craft(self, db: Any, arrival: Arrival) -> None:
        await variant.craft(db, arrival)


class Player(MongoUser):
    """Saves their progress."""

    @operation
    async def save_progress(self, database: Any, arrival: Arrival) -> None:
        await variant.save_progress(database, arrival)

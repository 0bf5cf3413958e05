"""Players who save their progress and ask for their rank."""

from typing import Any

from harness.load.locust_side import Arrival, MongoUser, chosen_variant, operation

variant = chosen_variant(__file__)


class Player(MongoUser):
    """Saves, or asks."""

    @operation
    async def save_progress(self, database: Any, arrival: Arrival) -> None:
        await variant.save_progress(database, arrival)

    @operation
    async def rank(self, database: Any, arrival: Arrival) -> None:
        await variant.rank(database, arrival)

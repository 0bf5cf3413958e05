"""Players who save."""

from typing import Any

from harness.load.locust_side import Arrival, MongoUser, chosen_variant, operation

variant = chosen_variant(__file__)


class Player(MongoUser):
    """Saves her progress."""

    @operation
    async def save_progress(self, database: Any, arrival: Arrival) -> None:
        await variant.save_progress(database, arrival)

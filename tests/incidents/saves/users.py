"""Players who save their progress and look at their alliance."""

from typing import Any

from harness.load.locust_side import Arrival, MongoUser, chosen_variant, operation

variant = chosen_variant(__file__)


class Player(MongoUser):
    """Saves, or looks."""

    @operation
    async def save_progress(self, database: Any, arrival: Arrival) -> None:
        await variant.save_progress(database, arrival)

    @operation
    async def view_alliance(self, database: Any, arrival: Arrival) -> None:
        await variant.view_alliance(database, arrival)

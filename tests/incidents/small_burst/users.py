"""Collectors who craft and look at the recipe page."""

from typing import Any

from harness.load.locust_side import Arrival, PostgresUser, chosen_variant, operation

variant = chosen_variant(__file__)


class Collector(PostgresUser):
    """Crafts a collectible, or looks."""

    @operation
    async def craft(self, db: Any, arrival: Arrival) -> None:
        await variant.craft(db, arrival)

    @operation
    async def view_recipe(self, db: Any, arrival: Arrival) -> None:
        await variant.view_recipe(db, arrival)

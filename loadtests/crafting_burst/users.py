"""The crowd at the crafting event. Works with `flashcrowd run` and by itself:

FLASHCROWD_DSN=postgresql://… locust -f loadtests/crafting_burst/users.py --headless -u 1 -t 40s

FLASHCROWD_VARIANT (before, after), FLASHCROWD_RATE and FLASHCROWD_SEED say what to run; `flashcrowd up crafting-burst`
gives a seeded database and its DSN.
"""

from typing import Any

from harness.load.locust_side import Arrival, PostgresUser, chosen_variant, operation

variant = chosen_variant(__file__)


class Collector(PostgresUser):
    """A collector who crafts a new collectible from five old ones, and looks at the recipe page in between."""

    @operation
    async def craft(self, db: Any, arrival: Arrival) -> None:
        await variant.craft(db, arrival)

    @operation
    async def view_recipe(self, db: Any, arrival: Arrival) -> None:
        await variant.view_recipe(db, arrival)

"""People who look at items, and burn one now and then."""

from typing import Any

from harness.load.locust_side import Arrival, PostgresUser, chosen_variant, operation

variant = chosen_variant(__file__)


class Collector(PostgresUser):
    """Looks and burns."""

    @operation(reads=True)
    async def look(self, db: Any, arrival: Arrival) -> None:
        await variant.look(db, arrival)

    @operation
    async def burn(self, db: Any, arrival: Arrival) -> None:
        await variant.burn(db, arrival)

"""People who move money."""

from typing import Any

from harness.load.locust_side import Arrival, PostgresUser, chosen_variant, operation

variant = chosen_variant(__file__)


class Teller(PostgresUser):
    """Moves an amount."""

    @operation
    async def transfer(self, db: Any, arrival: Arrival) -> None:
        await variant.transfer(db, arrival)

"""People who look up a row by its key."""

from typing import Any

from harness.load.locust_side import Arrival, PostgresUser, chosen_variant, operation

variant = chosen_variant(__file__)


class Reader(PostgresUser):
    """Looks up an account."""

    @operation
    async def select(self, db: Any, arrival: Arrival) -> None:
        await variant.select(db, arrival)

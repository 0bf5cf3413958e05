"""Somebody who asks."""

from typing import Any

from harness.load.locust_side import Arrival, PostgresUser, chosen_variant, operation

variant = chosen_variant(__file__)


class Asker(PostgresUser):
    """Asks the server for one thing."""

    @operation
    async def ask(self, db: Any, arrival: Arrival) -> None:
        await variant.ask(db, arrival)

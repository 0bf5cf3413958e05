"""Somebody who looks for what she owns."""

from typing import Any

from harness.load.locust_side import Arrival, PostgresUser, chosen_variant, operation

variant = chosen_variant(__file__)


class Collector(PostgresUser):
    """Looks at her items."""

    @operation
    async def ask(self, db: Any, arrival: Arrival) -> None:
        await variant.ask(db, arrival)

"""Somebody who reads from replicas and writes to the primary."""

from typing import Any

from harness.load.locust_side import Arrival, PostgresUser, chosen_variant, operation

variant = chosen_variant(__file__)


class Collector(PostgresUser):
    """Looks, and notes something."""

    @operation(reads=True)
    async def look(self, db: Any, arrival: Arrival) -> None:
        await variant.look(db, arrival)

    @operation
    async def note(self, db: Any, arrival: Arrival) -> None:
        await variant.note(db, arrival)

"""Somebody who wants a page; the database is the service's concern."""

from typing import Any

from harness.load.locust_side import Arrival, PostgresUser, chosen_variant, operation

variant = chosen_variant(__file__)


class Reader(PostgresUser):
    """Fetches pages."""

    @operation
    async def fetch(self, db: Any, arrival: Arrival) -> None:
        await variant.fetch(db, arrival)

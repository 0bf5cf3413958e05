"""A query that wants the index which is dropped, on the table that is locked."""

from typing import Any

from harness.load.locust_side import Arrival


async def ask(db: Any, arrival: Arrival) -> None:
    """How much one collector owns."""
    await db.fetchval("SELECT count(*) FROM items WHERE collector_id = $1", arrival.random.randint(1, 50))

"""One statement each."""

from typing import Any

from harness.load.locust_side import Arrival


async def look(db: Any, arrival: Arrival) -> None:
    """How much one collector owns."""
    await db.fetchval("SELECT count(*) FROM items WHERE collector_id = $1", arrival.random.randint(1, 50))


async def note(db: Any, arrival: Arrival) -> None:
    """A row that is written to."""
    await db.execute("UPDATE items SET burned_by = burned_by WHERE item_id = $1", arrival.random.randint(1, 500))

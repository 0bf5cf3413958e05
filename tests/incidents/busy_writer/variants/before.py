"""A few milliseconds of the server's processor."""

from typing import Any

from harness.load.locust_side import Arrival


async def ask(db: Any, arrival: Arrival) -> None:
    """Count to twenty thousand."""
    await db.fetchval("SELECT sum(n) FROM generate_series(1, 20000) AS n")

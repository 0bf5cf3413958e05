"""A slow server: twenty connections of half a second each are 40 requests a second."""

from typing import Any

from harness.load.locust_side import Arrival


async def ask(db: Any, arrival: Arrival) -> None:
    """Half a second without any work."""
    await db.execute("SELECT pg_sleep(0.5)")

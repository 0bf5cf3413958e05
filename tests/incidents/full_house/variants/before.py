"""Half a second a request, so that 60 a second want 30 connections at once."""

from typing import Any

from harness.load.locust_side import Arrival


async def ask(db: Any, arrival: Arrival) -> None:
    """Half a second without any work."""
    await db.execute("SELECT pg_sleep(0.5)")

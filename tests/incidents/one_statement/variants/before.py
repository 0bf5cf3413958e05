"""The least that a server can be asked for."""

from typing import Any

from harness.load.locust_side import Arrival


async def ask(db: Any, arrival: Arrival) -> None:
    """SELECT 1."""
    await db.fetchval("SELECT 1")

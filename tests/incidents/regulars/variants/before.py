"""One short statement, as psycopg takes it."""

from typing import Any

from harness.load.locust_side import Arrival


async def ask(db: Any, arrival: Arrival) -> None:
    """A sum of the server's, with a parameter."""
    await db.execute("SELECT %s::int + 1", [arrival.attempt])

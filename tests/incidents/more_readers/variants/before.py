"""A look that takes a while, so that several connections are needed; a burn that writes."""

from typing import Any

from harness.load.locust_side import Arrival


async def look(db: Any, arrival: Arrival) -> None:
    await db.fetch("SELECT count(*), pg_sleep(0.05) FROM crafts")


async def burn(db: Any, arrival: Arrival) -> None:
    await db.execute("UPDATE collections SET burned = burned WHERE collection_id = 1")

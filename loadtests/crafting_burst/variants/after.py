"""The system with the fix: the application draws, queries go by index, rows are locked in one order, counters last."""

from collections import Counter
from typing import Any

from harness.load.locust_side import Arrival, Declined
from loadtests.crafting_burst.collectors import collector_of

OWNED = "SELECT item_id, collection_id FROM items WHERE collector_id = $1 AND burned_by IS NULL"

LOCK_ITEMS = "SELECT item_id FROM items WHERE item_id = ANY($1) AND burned_by IS NULL ORDER BY item_id FOR UPDATE"

# From a random slot upwards, so that crafts do not all want the same free edition; a locked one is somebody else's.
TAKE_EDITION = """
SELECT edition_id FROM editions WHERE craft_request IS NULL AND edition_id >= $1
ORDER BY edition_id LIMIT 1 FOR UPDATE SKIP LOCKED
"""

LAST_EDITION = "SELECT max(edition_id) FROM editions"

COLLECTIONS = "SELECT collection_id, burned FROM collections"


async def craft(db: Any, arrival: Arrival) -> None:
    """Burn five items, get one edition, count what was burned: one transaction that locks in one order."""
    collector = await collector_of(db, arrival)
    owned = await db.fetch(OWNED, collector)
    if len(owned) < 5:
        raise Declined("too_few_items")
    # The arrival's seeded draw stands in for the application's CSPRNG, so that every run draws the same.
    chosen = sorted(arrival.random.sample(owned, 5))
    slot = arrival.random.randint(1, await db.fetchval(LAST_EDITION))
    async with db.transaction():
        items = [item["item_id"] for item in chosen]
        if len(await db.fetch(LOCK_ITEMS, items)) < 5:
            raise Declined("items_gone")
        edition = await db.fetchval(TAKE_EDITION, slot) or await db.fetchval(TAKE_EDITION, 0)
        if edition is None:
            raise Declined("sold_out")
        await db.execute(
            "INSERT INTO crafts (request_id, collector_id, edition_id) VALUES ($1, $2, $3)",
            arrival.request_id,
            collector,
            edition,
        )
        await db.execute("UPDATE editions SET craft_request = $1 WHERE edition_id = $2", arrival.request_id, edition)
        await db.execute("UPDATE items SET burned_by = $1 WHERE item_id = ANY($2)", arrival.request_id, items)
        burned = Counter(item["collection_id"] for item in chosen)
        for collection in sorted(burned):
            await db.execute(
                "UPDATE collections SET burned = burned + $1 WHERE collection_id = $2", burned[collection], collection
            )


async def view_recipe(db: Any, arrival: Arrival) -> None:
    """The recipe page: what the collector owns, by index, and the collections' counters, which tell what is left."""
    await db.fetch(OWNED, await collector_of(db, arrival))
    await db.fetch(COLLECTIONS)

"""The system as it was: the database draws at random, the queries are needlessly complex, rows are locked as drawn."""

from typing import Any

from harness.load.locust_side import Arrival, Declined
from loadtests.crafting_burst.collectors import collector_of

PICK_INGREDIENTS = """
SELECT i.item_id, i.collection_id
FROM items i
WHERE i.collector_id = $1
  AND i.burned_by IS NULL
  AND (SELECT count(*) FROM items o
       WHERE o.collector_id = i.collector_id AND o.collection_id = i.collection_id AND o.burned_by IS NULL) >= 1
ORDER BY random()
LIMIT 5
FOR UPDATE
"""

DRAW_EDITION = "SELECT edition_id FROM editions WHERE craft_request IS NULL ORDER BY random() LIMIT 1 FOR UPDATE"

# The crafting page counts down the editions left: asked anew with every item burned, while the counter's row is locked.
COUNT_BURNED = """
UPDATE collections SET burned = burned + 1 WHERE collection_id = $1
RETURNING burned, (SELECT count(*) FROM editions WHERE craft_request IS NULL) AS editions_left
"""

VIEW_RECIPE = """
SELECT i.item_id, i.collection_id, rarity, free.editions,
  (SELECT count(*) FROM items o
   WHERE o.collector_id = i.collector_id AND o.collection_id = i.collection_id AND o.burned_by IS NULL) AS owned
FROM items i
CROSS JOIN generate_series(0::int, 3::int) rarity
CROSS JOIN LATERAL (
    SELECT count(*) AS editions FROM editions e WHERE e.craft_request IS NULL AND e.edition_id % 4 = rarity) free
WHERE i.collector_id = $1 AND i.burned_by IS NULL
ORDER BY random()
"""


async def craft(db: Any, arrival: Arrival) -> None:
    """Burn five items, get one edition, count what was burned: one transaction."""
    collector = await collector_of(db, arrival)
    async with db.transaction():
        items = await db.fetch(PICK_INGREDIENTS, collector)
        if len(items) < 5:
            raise Declined("too_few_items")
        edition = await db.fetchval(DRAW_EDITION)
        if edition is None:
            raise Declined("sold_out")
        await db.execute(
            "INSERT INTO crafts (request_id, collector_id, edition_id) VALUES ($1, $2, $3)",
            arrival.request_id,
            collector,
            edition,
        )
        await db.execute("UPDATE editions SET craft_request = $1 WHERE edition_id = $2", arrival.request_id, edition)
        for item in items:
            await db.execute("UPDATE items SET burned_by = $1 WHERE item_id = $2", arrival.request_id, item["item_id"])
            await db.fetch(COUNT_BURNED, item["collection_id"])


async def view_recipe(db: Any, arrival: Arrival) -> None:
    """The recipe page: what the collector owns, how often, and how many editions of each rarity are left."""
    await db.fetch(VIEW_RECIPE, await collector_of(db, arrival))

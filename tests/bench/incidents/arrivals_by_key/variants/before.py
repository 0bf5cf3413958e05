"""One row of a million, by its key."""

from typing import Any

from harness.load.locust_side import Arrival
from tests.bench.dataset import ACCOUNTS, BRANCHES

SELECT = "SELECT abalance FROM pgbench_accounts WHERE aid = $1"


async def select(db: Any, arrival: Arrival) -> None:
    """An account's balance."""
    await db.fetchval(SELECT, arrival.random.randint(1, ACCOUNTS * BRANCHES))

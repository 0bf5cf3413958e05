"""The statements of ``peers/five_statements.sql``, drawn from the same ranges."""

from typing import Any

from harness.load.locust_side import Arrival
from tests.bench.dataset import ACCOUNTS, BRANCHES, TELLERS


async def transfer(db: Any, arrival: Arrival) -> None:
    """Move an amount in account, teller and branch, and write it down."""
    draw = arrival.random.randint
    account, branch = draw(1, ACCOUNTS * BRANCHES), draw(1, BRANCHES)
    teller, delta = draw(1, TELLERS * BRANCHES), draw(-5000, 5000)
    async with db.transaction():
        await db.execute("UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2", delta, account)
        await db.fetchval("SELECT abalance FROM pgbench_accounts WHERE aid = $1", account)
        await db.execute("UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2", delta, teller)
        await db.execute("UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2", delta, branch)
        await db.execute(
            "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)",
            teller,
            branch,
            account,
            delta,
        )

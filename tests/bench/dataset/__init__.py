"""pgbench's tables, made as ``pgbench -i -I dtGp`` makes them, so that the ordinary stack seeds, caches and resets them.

At scale 1 it is pgbench's scale 10: so many branches, and of each 10 tellers and 100,000 accounts.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from harness.model import Invariant

BRANCHES = 10
#: Of each branch.
ACCOUNTS = 100_000
TELLERS = 10

_TABLES = """
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
CREATE TABLE pgbench_tellers (tid int NOT NULL, bid int, tbalance int, filler char(84)) WITH (fillfactor = 100);
CREATE TABLE pgbench_accounts (aid int NOT NULL, bid int, abalance int, filler char(84)) WITH (fillfactor = 100);
CREATE TABLE pgbench_branches (bid int NOT NULL, bbalance int, filler char(88)) WITH (fillfactor = 100);
"""
_KEYS = """
ALTER TABLE pgbench_branches ADD PRIMARY KEY (bid);
ALTER TABLE pgbench_tellers ADD PRIMARY KEY (tid);
ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid);
"""


def seed(connection: psycopg.Connection, scale: float, seed: int) -> None:
    """Make schema and rows; they do not depend on ``seed``, as pgbench's do not.

    :param scale: :data:`BRANCHES` times this, but at least one branch
    """
    branches = max(1, round(BRANCHES * scale))
    connection.execute(_TABLES)
    for table, columns, count, each in (
        ("pgbench_branches", "bid, bbalance", branches, "n, 0"),
        ("pgbench_tellers", "tid, bid, tbalance", branches * TELLERS, f"n, (n - 1) / {TELLERS} + 1, 0"),
        ("pgbench_accounts", "aid, bid, abalance, filler", branches * ACCOUNTS, f"n, (n - 1) / {ACCOUNTS} + 1, 0, ''"),
    ):
        connection.execute(
            sql.SQL("INSERT INTO {} ({}) SELECT {} FROM generate_series(1, {}) AS n").format(
                sql.Identifier(table),
                sql.SQL(columns),
                sql.SQL(each),
                sql.Literal(count),
            )
        )
    connection.execute(_KEYS)


def check(connection: psycopg.Connection, acknowledged: Sequence[int], indeterminate: Sequence[int]) -> list[Invariant]:
    """Nothing is checked: the bench looks at times, and pgbench's tables hold no request ids."""
    return []

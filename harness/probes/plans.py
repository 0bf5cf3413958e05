"""Plans of the dearest statements, as the server would make them without knowing the parameters (PostgreSQL 16 and later).

Nothing is executed. What cannot be planned that way (a parameter whose type cannot be told, a constant that the normalised text
no longer has) is recorded with the server's words.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from harness.probes.connection import APPLICATION_NAME
from harness.probes.probe import Unmeasured
from harness.probes.statements import StatementCost
from harness.record import format as layout
from harness.record.writer import write_json

TOP = 10
TIME_LIMIT_S = 5.0


async def explain(dsn: str, costs: Sequence[StatementCost], folder: Path, *, top: int = TOP) -> int:
    """Write ``plans/1.json`` and so on for the first ``top`` statements; returns how many have a plan.

    :raises Unmeasured: the server cannot be reached, or went away; plans written before stay
    """
    (folder / layout.PLANS).mkdir(exist_ok=True)
    try:
        return await _explain(dsn, costs[:top], folder / layout.PLANS)
    except psycopg.OperationalError as error:
        raise Unmeasured("the server could not be asked for plans") from error


async def _explain(dsn: str, costs: Sequence[StatementCost], plans: Path) -> int:
    planned = 0
    # psycopg, because text with $1 in it and no values for them takes the simple protocol, which asyncpg has not for rows.
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True, application_name=APPLICATION_NAME)
    async with connection:
        await connection.execute("SELECT set_config('statement_timeout', %s, false)", [f"{TIME_LIMIT_S:g}s"])
        await connection.execute("SET default_transaction_read_only = on")
        if connection.info.server_version < 160000:
            return 0
        for number, cost in enumerate(costs, start=1):
            entry: dict[str, Any] = {"query": cost.query, "generic": True, "plan": None}
            try:
                cursor = await connection.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {cost.query}".encode())
                row = await cursor.fetchone()
                entry["plan"] = row[0] if row else None
                planned += 1
            except psycopg.Error as error:
                entry["error"] = f"{error.sqlstate or type(error).__name__}: {error.diag.message_primary or error}"
                if connection.closed:
                    raise
            write_json(plans / f"{number}.json", entry)
    return planned

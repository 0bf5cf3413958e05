"""What client connections are doing: their number by state and wait, and how long the longest has been at it.

The view it reads is current, not lagging, as long as it is read outside a transaction.
"""

from __future__ import annotations

from harness.model import Sample
from harness.probes.connection import ProbeConnection, sql

#: Counted as 0 where nobody is in that state, as postgres_exporter does: nobody is a measurement too. So is nobody who waits
#: for a lock.
STATES = ("active", "idle", "idle in transaction", "idle in transaction (aborted)")


class ActivityProbe:
    """Client connections of the endpoint's database, the probes' own not among them."""

    name = "activity"

    def __init__(self, connection: ProbeConnection) -> None:
        self._connection = connection

    async def sample(self, at_s: float) -> list[Sample]:
        """``pg_stat_activity_count`` by state and wait, the longest statement and transaction, and max_connections.

        The longest statement is 0 while none runs.
        """
        rows = await self._connection.fetch(sql("activity"))
        ceiling = await self._connection.value("SELECT current_setting('max_connections')::float8")
        counts = {(row["state"], row["wait_event_type"], row["wait_event"]): float(row["connections"]) for row in rows}
        counts |= {(state, "", ""): 0.0 for state in STATES if all(row["state"] != state for row in rows)}
        if all(row["wait_event_type"] != "Lock" for row in rows):
            counts["active", "Lock", ""] = 0.0
        samples = [
            Sample(
                at_s=at_s,
                metric="pg_stat_activity_count",
                value=count,
                labels={"state": state, "wait_event_type": kind, "wait_event": event},
            )
            for (state, kind, event), count in counts.items()
        ]
        for metric, column in (
            ("flashcrowd_longest_statement_seconds", "statement_s"),
            ("flashcrowd_longest_transaction_seconds", "transaction_s"),
        ):
            longest = max((row[column] for row in rows if row[column] is not None), default=0.0)
            samples.append(Sample(at_s=at_s, metric=metric, value=max(0.0, longest)))
        samples.append(Sample(at_s=at_s, metric="pg_settings_max_connections", value=ceiling))
        return samples

    async def close(self) -> None:
        """Close its connection."""
        await self._connection.close()

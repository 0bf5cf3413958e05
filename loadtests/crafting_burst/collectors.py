"""Which collector an arrival is: another one for each arrival, the same in every variant and attempt."""

from typing import Any

from harness.load.locust_side import Arrival

_STRIDE = 7919  # a prime, so that neighbours in time are far apart in the table
_known: dict[str, int] = {}


async def collector_of(db: Any, arrival: Arrival) -> int:
    """The arrival's collector id; how many collectors there are is asked once per process."""
    count = _known.get("collectors")
    if count is None:
        count = _known["collectors"] = await db.fetchval("SELECT count(*) FROM collectors")
    return 1 + arrival.index * _STRIDE % count

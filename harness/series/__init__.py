"""The series that criteria may name, with their units, and where each comes from in a run folder.

Two families:

- *request series* are computed from raw requests, for one operation or for all: ``p99(craft)`` is short for
  ``p99(craft.response)``; ``errors(craft)``, ``rate(craft)``, ``count(craft)``.
- *sampled series* are computed from what the probes wrote: ``postgres.cpu``, ``deadlocks``.

``flashcrowd list --series`` prints this table.

series.py    what a sampled series is
postgres.py  those of PostgreSQL and its replicas; mongo.py, of MongoDB; service.py, of services; run.py, of the load and of all servers together
"""

from __future__ import annotations

from harness.series import mongo, postgres, run, service
from harness.series.series import Combine, Kind, Series

__all__ = ["BY_NAME", "REQUEST_COUNTS", "REQUEST_PARTS", "SAMPLED", "Combine", "Kind", "Series", "unit_of"]

SAMPLED: tuple[Series, ...] = (*postgres.SERIES, *mongo.SERIES, *service.SERIES, *run.SERIES)

BY_NAME: dict[str, Series] = {series.name: series for series in SAMPLED}

#: Parts of a request's time, each a series of its own: ``p99(craft.service)``. All are seconds.
REQUEST_PARTS: dict[str, str] = {
    "response": "from the intended start to the end: what the person waits",
    "service": "from getting a connection to the end: what the database and the transaction take",
    "pool_wait": "from the actual start to getting a connection of the pool",
    "lag": "from the intended to the actual start: the generator's own lateness",
}

#: Statistics of a request series that are no percentile of a time, with their units.
REQUEST_COUNTS: dict[str, tuple[str, str]] = {
    "errors": ("ratio", "share of requests that did not end ok; errors(craft, 40P01) counts one outcome only"),
    "rate": ("1/s", "requests finished ok per second of traffic"),
    "count": ("", "requests, whatever their outcome; count(craft, 53300) counts one outcome only"),
}


def unit_of(name: str) -> str:
    """The base unit of a series, sampled or of requests.

    >>> unit_of("pool_wait"), unit_of("errors"), unit_of("postgres.cpu")
    ('s', 'ratio', 'ratio')
    """
    if name in REQUEST_PARTS:
        return "s"
    return REQUEST_COUNTS[name][0] if name in REQUEST_COUNTS else BY_NAME[name].unit

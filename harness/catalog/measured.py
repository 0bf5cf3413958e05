"""Which series the servers of a topology have: a criterion on another one would stay unknown for ever."""

from __future__ import annotations

from harness.model import Topology

#: Series of a PostgreSQL whose names do not begin with ``postgres``.
_OF_POSTGRES = ("deadlocks", "deadlock_rate")


def measured(series: str, topology: Topology, *, adds_replicas: bool) -> bool:
    """Whether the servers have the series; true of those of the load and of the harness.

    :param adds_replicas: whether a timeline adds replicas to those of the topology

    >>> measured("mongo.lag", Topology(), adds_replicas=False), measured("postgres.cpu", Topology(), adds_replicas=False)
    (False, True)
    """
    family = series.partition(".")[0]
    postgres = topology.postgres
    if family == "mongo":
        return topology.mongo is not None
    if family == "replica":
        return postgres is not None and (postgres.replicas > 0 or adds_replicas)
    if family == "service":
        return bool(topology.services)
    return postgres is not None or not (family == "postgres" or family in _OF_POSTGRES)

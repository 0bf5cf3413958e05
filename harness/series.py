"""The series that criteria may name, with their units, and where each comes from in a run folder.

Two families:

- *request series* are computed from raw requests, for one operation or for all: ``p99(craft)`` is short for
  ``p99(craft.response)``; ``errors(craft)``, ``rate(craft)``, ``count(craft)``.
- *sampled series* are computed from what the probes wrote: ``postgres.cpu``, ``deadlocks``.

``flashcrowd list --series`` prints this table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from harness.model import Labels


class Kind(StrEnum):
    """How a sampled series comes from its metric."""

    GAUGE = "gauge"  # the samples themselves, summed over labels that are not fixed
    RATE = "rate"  # increase per second between consecutive samples of a counter
    TOTAL = "total"  # increase of a counter over the run (or phase): one number


class Combine(StrEnum):
    """How samples of one instant that differ in labels become one value."""

    SUM = "sum"
    MAX = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A sampled series.

    :param metric: metric whose samples it is made of
    :param labels: only samples with these label values count; a value may be a ``|``-separated choice, and ``*`` in it
        stands for anything
    :param per: metric that the value is divided by, such as the limit that it is a share of: its latest sample, or of a
        ``rate`` its increase per second at the same time
    :param per_kind: which of these ``per`` is
    :param combine: how samples of one instant with different labels become one value; the largest is looked for after
        each was divided by its own ``per``, a sum is divided by the sum
    """

    name: str
    unit: str
    meaning: str
    kind: Kind
    metric: str
    labels: Labels = field(default_factory=dict)
    per: str | None = None
    per_kind: Kind = Kind.GAUGE
    combine: Combine = Combine.SUM


SAMPLED: tuple[Series, ...] = (
    Series(
        name="postgres.cpu",
        unit="ratio",
        meaning="CPU of the database server, all its processes, as a share of the cores it is allotted",
        kind=Kind.RATE,
        metric="container_cpu_usage_seconds_total",
        labels={"name": "postgres"},
        per="flashcrowd_cpu_allotment_cores",
    ),
    Series(
        name="postgres.memory",
        unit="B",
        meaning="memory of the database server: private memory of all its processes, and of the shared memory what the process that touched most of it has touched: a lower bound",
        kind=Kind.GAUGE,
        metric="container_memory_working_set_bytes",
        labels={"name": "postgres"},
    ),
    Series(
        name="postgres.throttled",
        unit="ratio",
        meaning="share of the periods of its CPU quota in which the database server used it up and was stopped; only where it has a quota, as containers do",
        kind=Kind.RATE,
        metric="container_cpu_cfs_throttled_periods_total",
        labels={"name": "postgres"},
        per="container_cpu_cfs_periods_total",
        per_kind=Kind.RATE,
    ),
    Series(
        name="replica.cpu",
        unit="ratio",
        meaning="CPU of the busiest replica as a share of the cores it is allotted",
        kind=Kind.RATE,
        metric="container_cpu_usage_seconds_total",
        labels={"name": "postgres-replica-*"},
        per="flashcrowd_cpu_allotment_cores",
        combine=Combine.MAX,
    ),
    Series(
        name="replica.throttled",
        unit="ratio",
        meaning="share of the periods of its CPU quota in which the replica that was stopped most often was",
        kind=Kind.RATE,
        metric="container_cpu_cfs_throttled_periods_total",
        labels={"name": "postgres-replica-*"},
        per="container_cpu_cfs_periods_total",
        per_kind=Kind.RATE,
        combine=Combine.MAX,
    ),
    Series(
        name="mongo.cpu",
        unit="ratio",
        meaning="CPU of the busiest member of the replica set as a share of the cores it is allotted",
        kind=Kind.RATE,
        metric="container_cpu_usage_seconds_total",
        labels={"name": "mongo-*"},
        per="flashcrowd_cpu_allotment_cores",
        combine=Combine.MAX,
    ),
    Series(
        name="mongo.memory",
        unit="B",
        meaning="memory of the member that uses the most: of a container without file pages not used lately, of a child process its private memory",
        kind=Kind.GAUGE,
        metric="container_memory_working_set_bytes",
        labels={"name": "mongo-*"},
        combine=Combine.MAX,
    ),
    Series(
        name="mongo.throttled",
        unit="ratio",
        meaning="share of the periods of its CPU quota in which the member that was stopped most often was",
        kind=Kind.RATE,
        metric="container_cpu_cfs_throttled_periods_total",
        labels={"name": "mongo-*"},
        per="container_cpu_cfs_periods_total",
        per_kind=Kind.RATE,
        combine=Combine.MAX,
    ),
    Series(
        name="mongo.connections",
        unit="",
        meaning="client connections of the member that has the most; ours for sampling and those between members not counted",
        kind=Kind.GAUGE,
        metric="flashcrowd_mongodb_client_connections",
        combine=Combine.MAX,
    ),
    Series(
        name="mongo.active",
        unit="",
        meaning="operations of clients that run at the same time on the member that has the most",
        kind=Kind.GAUGE,
        metric="flashcrowd_mongodb_active_operations",
        combine=Combine.MAX,
    ),
    Series(
        name="mongo.queued",
        unit="",
        meaning="operations that wait for a ticket or a global lock, on the member where the most do",
        kind=Kind.GAUGE,
        metric="mongodb_ss_globalLock_currentQueue",
        labels={"count_type": "total"},
        combine=Combine.MAX,
    ),
    Series(
        name="mongo.tickets_used",
        unit="ratio",
        meaning="share of the storage engine's tickets, for reading or for writing, that are taken, on the member where it is largest",
        kind=Kind.GAUGE,
        metric="flashcrowd_mongodb_tickets_out",
        per="flashcrowd_mongodb_tickets_limit",
        combine=Combine.MAX,
    ),
    Series(
        name="mongo.ops",
        unit="1/s",
        meaning="inserts, finds, updates and deletes of all members, as opcounters counts them (aggregations are none of these); our heartbeat, two or three a second, is in it",
        kind=Kind.RATE,
        metric="mongodb_ss_opcounters",
        labels={"legacy_op_type": "insert|query|update|delete"},
    ),
    Series(
        name="mongo.longest_operation",
        unit="s",
        meaning="how long the longest operation of a client has been running",
        kind=Kind.GAUGE,
        metric="flashcrowd_mongodb_longest_operation_seconds",
        combine=Combine.MAX,
    ),
    Series(
        name="mongo.lag",
        unit="s",
        meaning="how far the secondary that is behind the most is behind the primary, by the wall time of the last operation applied; one that does not answer stays where the primary last heard of it",
        kind=Kind.GAUGE,
        metric="mongodb_mongod_replset_member_replication_lag",
        combine=Combine.MAX,
    ),
    Series(
        name="mongo.lag_heartbeat",
        unit="s",
        meaning="the same by a document of ours that is written each second: how long ago the first that a secondary lacks was written, as read on the secondary",
        kind=Kind.GAUGE,
        metric="flashcrowd_mongodb_heartbeat_lag_seconds",
        combine=Combine.MAX,
    ),
    Series(
        name="mongo.down",
        unit="",
        meaning="members that are neither primary, secondary nor arbiter, as the primary sees them",
        kind=Kind.GAUGE,
        metric="flashcrowd_mongodb_members_down",
    ),
    Series(
        name="mongo.primaries",
        unit="",
        meaning="members that say they are the primary, or are taken for it by one that answers",
        kind=Kind.GAUGE,
        metric="flashcrowd_mongodb_primaries",
    ),
    Series(
        name="mongo.index_builds",
        unit="",
        meaning="index builds in progress on the member that has the most",
        kind=Kind.GAUGE,
        metric="flashcrowd_mongodb_index_builds",
        combine=Combine.MAX,
    ),
    Series(
        name="mongo.flow_control_lagged",
        unit="",
        meaning="1 while flow control holds writes back because the majority lags",
        kind=Kind.GAUGE,
        metric="mongodb_ss_flowControl_isLagged",
        combine=Combine.MAX,
    ),
    Series(
        name="mongo.slow_operations",
        unit="",
        meaning="operations that a member logged as slow (its slowms, 100 ms unless set otherwise), all members",
        kind=Kind.TOTAL,
        metric="flashcrowd_log_slow_operations_total",
    ),
    Series(
        name="oom_kills",
        unit="",
        meaning="processes inside the servers' containers that were killed for want of memory; where it was a server's main process its container ends with its counts, and the run says that the server died",
        kind=Kind.TOTAL,
        metric="container_oom_events_total",
    ),
    Series(
        name="postgres.connections",
        unit="",
        meaning="client connections, whatever their state, ours for sampling not counted",
        kind=Kind.GAUGE,
        metric="pg_stat_activity_count",
    ),
    Series(
        name="postgres.connections_used",
        unit="ratio",
        meaning="client connections as a share of max_connections",
        kind=Kind.GAUGE,
        metric="pg_stat_activity_count",
        per="pg_settings_max_connections",
    ),
    Series(
        name="postgres.active",
        unit="",
        meaning="client connections that run a statement",
        kind=Kind.GAUGE,
        metric="pg_stat_activity_count",
        labels={"state": "active"},
    ),
    Series(
        name="postgres.idle_in_transaction",
        unit="",
        meaning="client connections that hold a transaction open and run nothing",
        kind=Kind.GAUGE,
        metric="pg_stat_activity_count",
        labels={"state": "idle in transaction|idle in transaction (aborted)"},
    ),
    Series(
        name="postgres.waiting_for_lock",
        unit="",
        meaning="client connections whose wait event type is Lock",
        kind=Kind.GAUGE,
        metric="pg_stat_activity_count",
        labels={"wait_event_type": "Lock"},
    ),
    Series(
        name="postgres.longest_statement",
        unit="s",
        meaning="how long the longest statement has been running",
        kind=Kind.GAUGE,
        metric="flashcrowd_longest_statement_seconds",
    ),
    Series(
        name="postgres.longest_transaction",
        unit="s",
        meaning="how long the longest transaction has been open",
        kind=Kind.GAUGE,
        metric="flashcrowd_longest_transaction_seconds",
    ),
    Series(
        name="postgres.blocked",
        unit="",
        meaning="sessions that wait for a lock which another session holds or waits for",
        kind=Kind.GAUGE,
        metric="flashcrowd_blocked_sessions",
    ),
    Series(
        name="postgres.block_depth",
        unit="",
        meaning="length of the longest chain of sessions that wait for one another",
        kind=Kind.GAUGE,
        metric="flashcrowd_block_tree_depth",
    ),
    Series(
        name="deadlocks",
        unit="",
        meaning="deadlocks that the server resolved during the run, by its own counter",
        kind=Kind.TOTAL,
        metric="pg_stat_database_deadlocks",
    ),
    Series(
        name="deadlock_rate",
        unit="1/s",
        meaning="deadlocks per second, from the server's log",
        kind=Kind.RATE,
        metric="flashcrowd_log_deadlocks_total",
    ),
    Series(
        name="postgres.commits",
        unit="1/s",
        meaning="transactions committed",
        kind=Kind.RATE,
        metric="pg_stat_database_xact_commit",
    ),
    Series(
        name="postgres.rollbacks",
        unit="1/s",
        meaning="transactions rolled back",
        kind=Kind.RATE,
        metric="pg_stat_database_xact_rollback",
    ),
    Series(
        name="postgres.rows_read",
        unit="1/s",
        meaning="rows read by scans, as pg_stat_database counts tup_returned",
        kind=Kind.RATE,
        metric="pg_stat_database_tup_returned",
    ),
    Series(
        name="postgres.temp_bytes",
        unit="B/s",
        meaning="bytes spilled to temporary files",
        kind=Kind.RATE,
        metric="pg_stat_database_temp_bytes",
    ),
    Series(
        name="postgres.wal",
        unit="B/s",
        meaning="write-ahead log written",
        kind=Kind.RATE,
        metric="pg_stat_wal_bytes",
    ),
    Series(
        name="generator.cpu",
        unit="ratio",
        meaning="CPU of the load workers as a share of one core each, the busiest one",
        kind=Kind.RATE,
        metric="flashcrowd_worker_cpu_seconds_total",
        combine=Combine.MAX,
    ),
    Series(
        name="generator.loop_lag",
        unit="s",
        meaning="how late the workers' event loops ran a timer, the worst of the last interval",
        kind=Kind.GAUGE,
        metric="flashcrowd_worker_loop_lag_seconds",
        combine=Combine.MAX,
    ),
    Series(
        name="generator.in_flight",
        unit="",
        meaning="requests begun and not finished, all workers",
        kind=Kind.GAUGE,
        metric="flashcrowd_worker_in_flight",
    ),
    Series(
        name="pool.waiting",
        unit="",
        meaning="requests that wait for a connection of the application's pool",
        kind=Kind.GAUGE,
        metric="flashcrowd_pool_waiting",
    ),
    Series(
        name="harness.cpu",
        unit="ratio",
        meaning="CPU of the harness process (probes, recording) as a share of one core",
        kind=Kind.RATE,
        metric="flashcrowd_harness_cpu_seconds_total",
    ),
)

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

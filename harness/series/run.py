"""Series of the load, of the harness, and of all servers together."""

from __future__ import annotations

from harness.series.series import Combine, Kind, Series

SERIES: tuple[Series, ...] = (
    Series(
        name="oom_kills",
        unit="",
        meaning="processes inside the servers' containers that were killed for want of memory; where it was a server's main process its container ends with its counts, and the run says that the server died",
        kind=Kind.TOTAL,
        metric="container_oom_events_total",
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

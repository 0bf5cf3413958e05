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
        name="server.core.others",
        unit="ratio",
        meaning="share of the cores to which a server is held that was used by anything but the servers there: other processes, the kernel, the load where it has to share them; where servers have cores of their own, of the one that has it worst",
        kind=Kind.RATE,
        metric="flashcrowd_core_others_seconds_total",
        labels={"name": "*"},
        per="flashcrowd_held_cores",
        combine=Combine.MAX,
    ),
    Series(
        name="server.core.steal",
        unit="ratio",
        meaning="share of the cores to which a server is held that the hypervisor gave to somebody else while there was work for them; likewise",
        kind=Kind.RATE,
        metric="flashcrowd_core_steal_seconds_total",
        labels={"name": "postgres|*-*"},  # every server, and not the load
        per="flashcrowd_held_cores",
        combine=Combine.MAX,
    ),
    Series(
        name="load.core.busy",
        unit="ratio",
        meaning="share of the cores to which load and harness are held that was used, by them or by others",
        kind=Kind.RATE,
        metric="flashcrowd_core_busy_seconds_total",
        labels={"name": "load"},
        per="flashcrowd_held_cores",
    ),
    Series(
        name="load.core.steal",
        unit="ratio",
        meaning="share of the cores to which load and harness are held that the hypervisor gave to somebody else while there was work for them",
        kind=Kind.RATE,
        metric="flashcrowd_core_steal_seconds_total",
        labels={"name": "load"},
        per="flashcrowd_held_cores",
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

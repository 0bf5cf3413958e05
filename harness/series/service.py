"""Series of the application's services; of several instances each is the worst one's."""

from __future__ import annotations

from harness.series.series import Combine, Kind, Series

SERIES: tuple[Series, ...] = (
    Series(
        name="service.cpu",
        unit="ratio",
        meaning="CPU of the busiest instance of a service as a share of the cores it is allotted",
        kind=Kind.RATE,
        metric="container_cpu_usage_seconds_total",
        labels={"service": "*"},
        per="flashcrowd_cpu_allotment_cores",
        combine=Combine.MAX,
    ),
    Series(
        name="service.memory",
        unit="ratio",
        meaning="memory of the instance of a service that is nearest to its limit, as a share of that; only where it has one",
        kind=Kind.GAUGE,
        metric="container_memory_working_set_bytes",
        labels={"service": "*"},
        per="container_spec_memory_limit_bytes",
        combine=Combine.MAX,
    ),
    Series(
        name="service.throttled",
        unit="ratio",
        meaning="share of the periods of its CPU quota in which the instance of a service that was stopped most often was; only where it has a quota, as containers do",
        kind=Kind.RATE,
        metric="container_cpu_cfs_throttled_periods_total",
        labels={"service": "*"},
        per="container_cpu_cfs_periods_total",
        per_kind=Kind.RATE,
        combine=Combine.MAX,
    ),
    Series(
        name="service.restarts",
        unit="",
        meaning="instances of services that ended by themselves and were started again, whatever the reason",
        kind=Kind.TOTAL,
        metric="flashcrowd_service_restarts_total",
    ),
    Series(
        name="service.memory_restarts",
        unit="",
        meaning="the same of those that had used more memory than they may",
        kind=Kind.TOTAL,
        metric="flashcrowd_service_restarts_total",
        labels={"reason": "memory"},
    ),
    Series(
        name="service.down",
        unit="",
        meaning="instances of services that do not run, because they crashed or the timeline took them away",
        kind=Kind.GAUGE,
        metric="flashcrowd_service_down",
    ),
)

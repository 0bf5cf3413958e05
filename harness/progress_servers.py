"""What the live line says of the servers, from the probes' latest ticks: only what they have, and what was measured of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.model import Labels, Sample
from harness.probes.sampler import Tick
from harness.probes.usage import UsageProbe
from harness.units import format_value

#: Servers that share a figure on the line: of several it is the busiest one's.
_KINDS = (("postgres", "PostgreSQL"), ("postgres-replica-", "replicas"), ("mongo-", "MongoDB"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One figure in words."""

    name: str
    value: str


def of_servers(ticks: Sequence[Tick]) -> tuple[Shown, ...]:
    """The figures that there are.

    :param ticks: the probes' latest, oldest first
    """
    return tuple(Shown(name=name, value=value) for name, value in _figures(ticks))


def _figures(ticks: Sequence[Tick]) -> Iterator[tuple[str, str]]:
    # Every second of a run, on the core of the load: the many samples of the other probes are not looked at.
    usage = [tick for tick in ticks if tick.probe == UsageProbe.name]
    shares, services = _cpu(usage), _services(usage)
    busy = {kind: max(values) for prefix, kind in _KINDS if (values := _of_kind(shares, prefix))}
    if of_services := [share for name, share in shares.items() if name in services]:
        busy["services"] = max(of_services)
    for kind, share in busy.items():
        yield "CPU" if len(busy) == 1 else f"CPU {kind}", format_value(share, "ratio")
    connections = _latest(ticks, "pg_stat_activity_count", _no_server)
    if connections is not None:
        most = _latest(ticks, "pg_settings_max_connections", _no_server)
        yield "connections", format_value(sum(connections), "") + ("" if most is None else f"/{sum(most):.0f}")
    clients = _worst(ticks, "flashcrowd_mongodb_client_connections")
    if clients is not None:
        yield "connections" if connections is None else "MongoDB connections", format_value(clients, "")
    queued = _worst(ticks, "mongodb_ss_globalLock_currentQueue")
    if queued is not None:
        yield "queued", format_value(queued, "")
    deadlocks = _latest(ticks, "flashcrowd_log_deadlocks_total")
    if deadlocks is not None:
        yield "deadlocks", format_value(sum(deadlocks), "")
    lags = [
        _worst(ticks, name) for name in ("pg_replication_lag_seconds", "mongodb_mongod_replset_member_replication_lag")
    ]
    known = [lag for lag in lags if lag is not None]
    if known:
        yield "lag", format_value(max(known), "s")
    restarts = _latest(ticks, "flashcrowd_service_restarts_total")
    if restarts is not None:
        yield "restarts", format_value(sum(restarts), "")


def _services(ticks: Sequence[Tick]) -> set[str]:
    """Names of instances of services."""
    return {sample.labels["name"] for _, sample in _samples(ticks) if "service" in sample.labels}


def _no_server(labels: Labels) -> bool:
    """Whether a sample is the primary's: those of replicas say whose they are."""
    return "server" not in labels


def _latest(
    ticks: Sequence[Tick], metric: str, wanted: Callable[[Labels], bool] = lambda labels: True
) -> list[float] | None:
    """The values of the latest tick that has any."""
    for tick in reversed(ticks):
        found = [sample.value for sample in tick.samples if sample.metric == metric and wanted(sample.labels)]
        if found:
            return found
    return None


def _worst(ticks: Sequence[Tick], metric: str) -> float | None:
    """The largest of the probes' latest values: each member has a probe of its own."""
    latest: dict[str, float] = {}
    for tick in ticks:
        found = [sample.value for sample in tick.samples if sample.metric == metric]
        if found:
            latest[tick.probe] = max(found)
    return max(latest.values(), default=None)


def _cpu(ticks: Sequence[Tick]) -> dict[str, float]:
    """Each server's CPU between its last two readings, as a share of its cores."""
    seen: dict[str, list[tuple[float, float]]] = {}
    cores: dict[str, float] = {}
    for at_s, sample in _samples(ticks):
        name = sample.labels.get("name", "")
        if sample.metric == "container_cpu_usage_seconds_total":
            seen.setdefault(name, []).append((at_s, sample.value))
        elif sample.metric == "flashcrowd_cpu_allotment_cores":
            cores[name] = sample.value
    shares = {}
    for name, readings in seen.items():
        for (before_s, before), (after_s, after) in reversed(list(pairwise(readings))):
            if after_s > before_s and after >= before and cores.get(name):
                shares[name] = (after - before) / (after_s - before_s) / cores[name]
                break
    return shares


def _samples(ticks: Sequence[Tick]) -> Iterator[tuple[float, Sample]]:
    for tick in ticks:
        for sample in tick.samples:
            yield sample.at_s, sample


def _of_kind(shares: Mapping[str, float], prefix: str) -> list[float]:
    whole = not prefix.endswith("-")
    return [share for name, share in shares.items() if (name == prefix if whole else name.startswith(prefix))]

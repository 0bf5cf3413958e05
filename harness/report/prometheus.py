"""A running run for Prometheus: what the probes saw last, and the requests that finished so far.

Metrics keep the names that postgres_exporter and cAdvisor give them, so that existing dashboards fit; a probe that is in a
gap has none. Counters that bear no ``_total`` there are exposed without a type, since Prometheus' own client
would rename them. Each scrape reads what the workers have added to their files since the one before.
"""

from __future__ import annotations

import errno
import json
import math
import socket
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from harness import series
from harness.clock import Origin
from harness.errors import UsageError
from harness.model import Sample
from harness.record import format as layout
from harness.record.tail import Tail, response_s

LOOPBACK = "127.0.0.1"
#: Upper bounds in seconds, about three to a factor of ten: half a millisecond is a lookup by key, a minute is nobody's patience.
BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)
_UNTYPED = ("pg_stat_database_", "pg_stat_wal_", "pg_stat_io_", "mongodb_ss_")  # counters, most of them, without _total
_MEANINGS = {one.metric: one.meaning for one in series.SAMPLED}


class Tick(Protocol):
    """One probe's answer."""

    @property
    def samples(self) -> Sequence[Sample]:
        """What it measured."""


class Ticks(Protocol):
    """Whoever has the probes' last answers; asked from another thread."""

    @property
    def latest(self) -> Mapping[str, Tick]:
        """Last tick by probe; one that is in a gap is absent."""


def check_address(host: str, port: int) -> None:
    """See that an address can be listened at, before anything is started that would have to be stopped again.

    :raises UsageError: it cannot
    """
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except (OSError, OverflowError) as error:
        raise UsageError(f"--metrics {host}:{port}: {_advice(error)}") from error


class Exposition:
    """Serves ``/metrics`` of one run from its construction until :meth:`close`, or as a context manager.

    :param folder: the run folder, which may still be growing
    :param ticks: the sampler
    :param port: 0 takes any that is free; see :attr:`port`
    :raises UsageError: it cannot listen there
    """

    def __init__(self, folder: Path, ticks: Ticks, *, host: str = LOOPBACK, port: int) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(RunCollector(folder, ticks))
        try:
            self._server, self._thread = start_http_server(port, addr=host, registry=registry)
        except (OSError, OverflowError) as error:
            raise UsageError(f"--metrics {host}:{port}: {_advice(error)}") from error
        self.host = host
        self.port: int = self._server.server_port

    def close(self) -> None:
        """Stop listening; a second call does nothing."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RunCollector(Collector):
    """Turns a run folder and the latest ticks into metric families, at each scrape."""

    def __init__(self, folder: Path, ticks: Ticks) -> None:
        self._folder = folder
        self._ticks = ticks
        self._tail = Tail(folder)
        self._lock = threading.Lock()  # two scrapes at once must not read the same rows
        self._requests: Counter[tuple[str, str]] = Counter()
        self._buckets: dict[str, NDArray[np.int64]] = {}
        self._sums_s: dict[str, float] = {}

    def collect(self) -> Iterable[Metric]:
        """All families; counts never go back within a run."""
        with self._lock:
            self._read()
            families = [*_sampled(self._ticks.latest), *self._of_requests()]
        run = _object(self._folder / layout.RUN)
        families += _run_info(run)
        families += _offered(run, _object(self._folder / layout.OFFERED))
        return families

    def _read(self) -> None:
        for (operation, outcome), rows in self._tail.poll().groups.items():
            times_s = response_s(rows)
            self._requests[operation, outcome] += len(rows)
            self._sums_s[operation] = self._sums_s.get(operation, 0.0) + float(times_s.sum())
            # side="left": a time that equals a bound belongs below it, as "le" says
            found = np.bincount(np.searchsorted(BUCKETS_S, times_s, side="left"), minlength=len(BUCKETS_S) + 1)
            self._buckets[operation] = self._buckets.get(operation, np.zeros(len(found), np.int64)) + found

    def _of_requests(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "flashcrowd_requests", "requests finished, by how they ended", labels=["operation", "outcome"]
        )
        for (operation, outcome), count in sorted(self._requests.items()):
            requests.add_metric([operation, outcome], count)
        yield requests
        times = HistogramMetricFamily(
            "flashcrowd_response_time_seconds", series.REQUEST_PARTS["response"], labels=["operation"]
        )
        bounds = [*(str(bound) for bound in BUCKETS_S), "+Inf"]
        for operation, counts in sorted(self._buckets.items()):
            cumulated = np.cumsum(counts).tolist()
            times.add_metric([operation], list(zip(bounds, cumulated, strict=True)), sum_value=self._sums_s[operation])
        yield times


def _sampled(ticks: Mapping[str, Tick]) -> Iterator[Metric]:
    families: dict[str, Metric] = {}
    for tick in ticks.values():
        for sample in tick.samples:
            family = families.get(sample.metric)
            if family is None:
                family = families[sample.metric] = _family(sample.metric)
            family.add_sample(sample.metric, dict(sample.labels), sample.value)
    yield from families.values()


def _family(metric: str) -> Metric:
    meaning = _MEANINGS.get(metric, metric.replace("_", " "))
    if metric.endswith("_total"):
        return Metric(metric.removesuffix("_total"), meaning, "counter")
    return Metric(metric, meaning, "unknown" if metric.startswith(_UNTYPED) else "gauge")


def _run_info(run: Mapping[str, Any]) -> Iterator[Metric]:
    variant = run.get("variant")
    if isinstance(variant, dict):
        family = GaugeMetricFamily("flashcrowd_run_info", "which run this is", labels=["incident", "variant"])
        family.add_metric([str(run.get("incident", "")), str(variant.get("name", ""))], 1)
        yield family


def _offered(run: Mapping[str, Any], offered: Mapping[str, Any]) -> Iterator[Metric]:
    """What the schedule asks for at this moment; nothing before the traffic begins."""
    origin = run.get("origin")
    if not isinstance(origin, dict) or not offered:
        return
    step_s = float(offered["step_s"])
    step = math.floor(Origin(**origin).at_s() / step_s)
    if step < 0:
        return
    family = GaugeMetricFamily("flashcrowd_offered_per_second", "arrivals scheduled", labels=["operation"])
    for operation, counts in sorted(offered["operations"].items()):
        family.add_metric([operation], counts[step] / step_s if step < len(counts) else 0.0)
    yield family


def _object(path: Path) -> dict[str, Any]:
    """A JSON file's object; empty while it is not there."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _advice(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return "another process listens there; choose another port, such as --metrics 127.0.0.1:9188"
    if isinstance(error, OSError) and error.errno == errno.EACCES:
        return "this user may not listen on that port; choose one above 1023"
    if isinstance(error, OSError):
        return (
            f"cannot listen there ({error.strerror or error}); name an address of this machine, such as 127.0.0.1:9188"
        )
    return "a port is 0 to 65535"

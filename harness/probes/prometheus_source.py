"""CPU and memory of servers of one's own, from exporters or a Prometheus that the user names.

A container's, as cAdvisor has them, or else the CPU of the whole machine, as node_exporter has it. What was measured keeps the
time at which it was measured: an exporter may answer with what it knew some seconds ago, a Prometheus with what it scraped
last. What was seen before is not written again, so whoever judges or draws the series sees how far apart its samples are.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import math
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from harness.clock import Origin
from harness.model import Sample
from harness.probes.probe import Unmeasured
from harness.stack.external.exporters import Source

LIMIT_S = 5.0
#: A sample from further ahead or back than this is of a machine whose clock is wrong, or of a scrape that failed.
FRESH_S = 120.0
NODE_CPU = "node_cpu_seconds_total"
CPU = "container_cpu_usage_seconds_total"
PERIOD, QUOTA, MACHINE_CORES = "container_spec_cpu_period", "container_spec_cpu_quota", "machine_cpu_cores"
ALLOTMENT = "flashcrowd_cpu_allotment_cores"
#: Taken as cAdvisor has them.
TAKEN = (
    "container_memory_working_set_bytes",
    "container_cpu_cfs_periods_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_cpu_cfs_throttled_seconds_total",
    "container_oom_events_total",
    "container_spec_memory_limit_bytes",
)
ASKED = (CPU, PERIOD, QUOTA, MACHINE_CORES, *TAKEN, NODE_CPU)
#: Time in these modes is nobody's work; guests' time is in ``user`` already.
IDLE_MODES = ("idle", "iowait", "steal", "guest", "guest_nice")
#: cAdvisor tells 0, or a figure beyond any machine's memory, where there is no limit.
NO_LIMIT = 2**60


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample of an exporter; when in seconds since the Unix epoch, None where it is of the moment it was asked."""

    metric: str
    labels: Mapping[str, str]
    value: float
    wall_s: float | None


Fetch = Callable[[Source], Sequence[Reading]]


class PrometheusProbe:
    """CPU and memory of one server, from one source.

    :param fetch: asks the source; it blocks
    """

    def __init__(self, source: Source, origin: Origin, fetch: Fetch | None = None) -> None:
        self._source, self._origin = source, origin
        self._fetch = fetch or readings
        self._newest_s: dict[str, float] = {}

    @property
    def name(self) -> str:
        """Stands beside every tick."""
        return f"prometheus-{self._source.server}"

    async def sample(self, at_s: float) -> list[Sample]:
        """``container_cpu_usage_seconds_total`` and ``flashcrowd_cpu_allotment_cores``, and of a container what else cAdvisor
        has; none where the source has nothing newer than last time.

        :raises Unmeasured: the source does not answer, or has nothing of the server
        """
        found = await asyncio.to_thread(self._fetch, self._source)
        fresh = [one for one in found if one.wall_s is None or abs(time.time() - one.wall_s) <= FRESH_S]
        if found and not fresh:
            raise Unmeasured(
                "its newest sample is minutes away from now: it stands still, or one of the clocks is wrong"
            )
        measured = of_container(fresh, self._source) or of_machine(fresh, self._source)
        if CPU not in measured:
            raise Unmeasured(
                f"it has neither {CPU} of one container nor {NODE_CPU} of one machine; name labels behind a #"
            )
        samples = []
        for metric, (value, wall_s) in measured.items():
            own_s = at_s if wall_s is None else self._origin.from_wall(wall_s)
            if own_s > self._newest_s.get(metric, -math.inf):
                self._newest_s[metric] = own_s
                samples.append(Sample(at_s=own_s, metric=metric, value=value, labels={"name": self._source.server}))
        return samples

    async def close(self) -> None:
        """Nothing is held."""


Measured = dict[str, tuple[float, float | None]]


def of_container(found: Iterable[Reading], source: Source) -> Measured:
    """By metric, value and time of the one container that the labels choose; empty where there is none, or several."""
    every = list(found)
    wanted = source.labels if source.labels else {"name": source.server}
    chosen = [one for one in every if one.metric.startswith("container_") and _has(one, wanted)]
    # cAdvisor tells CPU in total (an empty or the word total, by version) or for each core.
    total = [one for one in chosen if one.metric == CPU and one.labels.get("cpu", "total") in ("total", "")]
    used = total or [one for one in chosen if one.metric == CPU]
    if not used or len({_who(one) for one in used}) != 1:
        return {}
    who = _who(used[0])
    own = {one.metric: one for one in chosen if one.metric != CPU and _who(one) == who}
    measured: Measured = {CPU: (sum(one.value for one in used), used[0].wall_s)}
    for metric in TAKEN:
        if metric in own and not (
            metric == "container_spec_memory_limit_bytes" and not 0 < own[metric].value < NO_LIMIT
        ):
            measured[metric] = (own[metric].value, own[metric].wall_s)
    if QUOTA in own and PERIOD in own and own[QUOTA].value > 0 and own[PERIOD].value > 0:
        measured[ALLOTMENT] = (own[QUOTA].value / own[PERIOD].value, own[QUOTA].wall_s)
    else:
        machines = [one for one in every if one.metric == MACHINE_CORES]
        if len(machines) == 1:
            measured[ALLOTMENT] = (machines[0].value, machines[0].wall_s)
    return measured


def of_machine(found: Iterable[Reading], source: Source) -> Measured:
    """CPU and cores of the one machine that the labels choose; empty where there is none, or several."""
    chosen = [one for one in found if one.metric == NODE_CPU and _has(one, source.labels)]
    if len({one.labels.get("instance") for one in chosen}) != 1:
        return {}
    busy = sum(one.value for one in chosen if one.labels.get("mode") not in IDLE_MODES)
    cores = len({one.labels.get("cpu") for one in chosen})
    return {CPU: (busy, chosen[0].wall_s), ALLOTMENT: (float(cores), chosen[0].wall_s)}


def readings(source: Source) -> list[Reading]:
    """Ask a source.

    :raises Unmeasured: it does not answer, or not as an exporter or a Prometheus does
    """
    if source.is_exporter:
        return of_text(_get(source, source.url))
    # A range of samples has the times at which they were scraped; an instant query would say now.
    query = f'{{__name__=~"{"|".join(ASKED)}"{_matchers(source)}}}[{FRESH_S:.0f}s]'
    url = source.url.rstrip("/") + "/api/v1/query?" + urllib.parse.urlencode({"query": query})
    return of_answer(_get(source, url))


def of_text(text: str) -> list[Reading]:
    """What an exporter's text holds of what is asked."""
    # Of thousands of lines some dozens are parsed.
    kept = "".join(line + "\n" for line in text.splitlines() if line.startswith(ASKED))
    try:
        return [
            Reading(one.name, one.labels, one.value, None if one.timestamp is None else float(one.timestamp))
            for family in text_string_to_metric_families(kept)
            for one in family.samples
            if one.name in ASKED
        ]
    except ValueError as error:
        raise Unmeasured("it does not answer as an exporter does") from error


def of_answer(text: str) -> list[Reading]:
    """The newest sample of each series in a Prometheus server's answer."""
    try:
        answer = json.loads(text)
        if answer["status"] != "success":
            raise Unmeasured(f"Prometheus says: {answer.get('error', 'no reason')}")
        found = []
        for series in answer["data"]["result"]:
            labels = dict(series["metric"])
            wall_s, value = series["values"][-1]
            found.append(Reading(labels.pop("__name__"), labels, float(value), float(wall_s)))
        return found
    except (ValueError, LookupError, TypeError) as error:
        raise Unmeasured("it does not answer as a Prometheus server does") from error


def _get(source: Source, url: str) -> str:
    headers = {} if source.login is None else {"Authorization": source.login}
    # Exporters are neighbours: what the environment says of proxies is for the world outside.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=LIMIT_S) as answer:
            body: bytes = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unmeasured(f"{source.url} does not answer: {getattr(error, 'reason', None) or error}") from error
    return body.decode("utf-8", errors="replace")


def _has(one: Reading, wanted: Mapping[str, str]) -> bool:
    return all(one.labels.get(label) == value for label, value in wanted.items())


def _who(one: Reading) -> tuple[str | None, ...]:
    """What tells one container from another; ``cpu`` and the like do not."""
    return tuple(one.labels.get(label) for label in ("id", "name", "container", "pod", "namespace", "instance"))


def _matchers(source: Source) -> str:
    return "".join(f",{label}={json.dumps(value)}" for label, value in source.labels.items())

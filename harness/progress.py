"""What is told while a run goes on: a live line on a terminal, a plain one every few seconds elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.model import Outcome
from harness.probes.sampler import Tick
from harness.record.tail import NewRows
from harness.units import format_value

PLAIN_EVERY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The last interval of a run; None is not measured.

    :param offered_per_s: arrivals scheduled
    :param p99_s: of the response times of what finished in the interval
    :param errors: share of what finished in the interval
    """

    at_s: float
    offered_per_s: float | None
    achieved_per_s: float
    p99_s: float | None
    errors: float | None
    cpu: float | None
    connections: float | None
    max_connections: float | None
    deadlocks: float | None

    def line(self, variant: str) -> str:
        """One line for people."""
        limit = "" if self.max_connections is None else f"/{self.max_connections:.0f}"
        return (
            f"{variant} {self.at_s:5.0f} s  offered {format_value(self.offered_per_s, '1/s')}"
            f"  ok {format_value(self.achieved_per_s, '1/s')}  p99 {format_value(self.p99_s, 's')}"
            f"  errors {format_value(self.errors, 'ratio')}  CPU {format_value(self.cpu, 'ratio')}"
            f"  connections {format_value(self.connections, '')}{limit}  deadlocks {format_value(self.deadlocks, '')}"
        )


class Progress:
    """Tells a person or a log how a run goes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._told_s = float("-inf")

    def say(self, text: str) -> None:
        """One line that stays."""
        self._console.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)

    def tell(self, variant: str, moment: Moment, in_force: str = "") -> None:
        """How it stands now.

        :param in_force: what is done to the servers at this moment; empty: nothing
        """
        line = moment.line(variant) + (f"  now: {in_force}" if in_force else "")
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
        elif moment.at_s - self._told_s >= PLAIN_EVERY_S or moment.at_s < self._told_s:
            self._told_s = moment.at_s
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        """End the live line."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._told_s = float("-inf")


def moment(
    at_s: float,
    since_s: float,
    rows: NewRows,
    offered: Mapping[str, Sequence[int]],
    ticks: Sequence[Tick],
) -> Moment:
    """The interval from ``since_s`` to ``at_s``.

    :param offered: arrivals scheduled, per operation and second; empty in the closed model
    :param ticks: the probes' latest ticks, oldest first
    """
    span = max(at_s - since_s, 1e-9)
    ok = rows.count(outcome=Outcome.OK)
    times = rows.response_s()
    second = math.floor(at_s)
    due = [values[second] for values in offered.values() if 0 <= second < len(values)]
    return Moment(
        at_s=at_s,
        offered_per_s=float(sum(due)) if due else None,
        achieved_per_s=ok / span,
        p99_s=float(np.percentile(times, 99, method="inverted_cdf")) if len(times) else None,
        errors=1 - ok / len(rows) if len(rows) else None,
        cpu=_cpu(ticks),
        connections=_sum(ticks, "pg_stat_activity_count"),
        max_connections=_sum(ticks, "pg_settings_max_connections"),
        deadlocks=_sum(ticks, "flashcrowd_log_deadlocks_total"),
    )


def _sum(ticks: Sequence[Tick], metric: str) -> float | None:
    for tick in reversed(ticks):
        found = [sample.value for sample in tick.samples if sample.metric == metric]
        if found:
            return sum(found)
    return None


def _cpu(ticks: Sequence[Tick]) -> float | None:
    seen = [
        (tick.at_s, sample.value)
        for tick in ticks
        for sample in tick.samples
        if sample.metric == "container_cpu_usage_seconds_total"
    ]
    cores = _sum(ticks, "flashcrowd_cpu_allotment_cores")
    for (before_s, before), (after_s, after) in reversed(list(pairwise(seen))):
        if after_s > before_s and cores:
            return (after - before) / (after_s - before_s) / cores
    return None

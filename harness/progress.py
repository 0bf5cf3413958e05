"""What is told while a run goes on: a live line on a terminal, a plain one every few seconds elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.model import Outcome
from harness.probes.sampler import Tick
from harness.progress_servers import Shown, of_servers
from harness.record.tail import NewRows
from harness.units import format_value

PLAIN_EVERY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The last interval of a run; None is not measured.

    :param offered_per_s: arrivals scheduled
    :param p99_s: of the response times of what finished in the interval
    :param errors: share of what finished in the interval
    :param servers: what the probes saw of the servers last; what was not measured is not in it
    """

    at_s: float
    offered_per_s: float | None
    achieved_per_s: float
    p99_s: float | None
    errors: float | None
    servers: tuple[Shown, ...] = ()

    def line(self, variant: str) -> str:
        """One line for people."""
        said = "".join(f"  {one.name} {one.value}" for one in self.servers)
        return (
            f"{variant} {self.at_s:5.0f} s  offered {format_value(self.offered_per_s, '1/s')}"
            f"  ok {format_value(self.achieved_per_s, '1/s')}  p99 {format_value(self.p99_s, 's')}"
            f"  errors {format_value(self.errors, 'ratio')}{said}"
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
        servers=of_servers(ticks),
    )

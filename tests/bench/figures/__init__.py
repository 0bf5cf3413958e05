"""The figures by name: where each is measured, and what measures it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from harness.stack.cores import own_cores
from tests.bench.bed import Bed
from tests.bench.figures import (
    closed,
    containers,
    deadlocks,
    disk,
    memory,
    open_loop,
    percentiles,
    probes,
    report,
    stack,
    stopped,
)
from tests.bench.row import Row, not_measured


class Place(StrEnum):
    """What must be up."""

    NOTHING = "nothing"
    PGBENCH = "a server with pgbench's tables"
    COLLECTIBLES = "the crafting burst's server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What ``--only`` names.

    :param said: for ``--list``
    :param why_not: why it is not measured here and now; None where it is
    """

    name: str
    said: str
    place: Place
    measure: Callable[[Bed], Awaitable[list[Row]]]
    why_not: Callable[[bool], str | None] = lambda _: None


def _too_few_cores(_: bool) -> str | None:
    own = own_cores()
    if own is None:
        return "this system cannot hold processes to cores"
    return None if len(own) >= 3 else f"needs 3 cores, one for the server and one a worker; there are {len(own)}"


def _not_long(long: bool) -> str | None:
    return None if long else "use --long"


FIGURES = (
    Figure(
        name="closed-select",
        said="closed loop, select by key: ours ÷ pgbench, ours ÷ locust.contrib.postgres",
        place=Place.PGBENCH,
        measure=closed.select,
    ),
    Figure(
        name="closed-transaction",
        said="closed loop, a transaction of five statements: ours ÷ pgbench",
        place=Place.PGBENCH,
        measure=closed.transaction,
    ),
    *(
        Figure(
            name=f"open-{per_s}",
            said=f"open loop at {per_s:,}/s: schedule lag, punctuality, achieved rate",
            place=Place.PGBENCH,
            measure=partial(open_loop.measure, per_s=per_s),
        )
        for per_s in (2000, 5000)
    ),
    Figure(
        name="workers",
        said=closed.WORKERS,
        place=Place.PGBENCH,
        measure=closed.workers,
        why_not=_too_few_cores,
    ),
    Figure(
        name=stopped.FIGURE,
        said="the server stands still: reported p99 and maximum against the schedule's",
        place=Place.PGBENCH,
        measure=stopped.measure,
    ),
    Figure(
        name=percentiles.FIGURE,
        said="our percentiles against NumPy's over the raw times",
        place=Place.PGBENCH,
        measure=percentiles.measure,
    ),
    Figure(name="probes", said="throughput with probes ÷ without", place=Place.PGBENCH, measure=probes.measure),
    Figure(name=disk.FIGURE, said="bytes on disk per request", place=Place.PGBENCH, measure=disk.measure),
    Figure(
        name="deadlocks",
        said="deadlocks of client, log and counter",
        place=Place.COLLECTIBLES,
        measure=deadlocks.measure,
    ),
    Figure(
        name=stack.FIGURE,
        said="server ready from the cache, and reset to the seeded state",
        place=Place.NOTHING,
        measure=stack.measure,
    ),
    Figure(
        name=containers.FIGURE,
        said="servers in containers: ready, and a look at CPU and memory of all",
        place=Place.NOTHING,
        measure=containers.measure,
        why_not=containers.no_engine,
    ),
    Figure(
        name=report.FIGURE,
        said="report.html of a million requests: time and size",
        place=Place.NOTHING,
        measure=report.measure,
    ),
    Figure(
        name=memory.FIGURE,
        said="memory at 10 minutes ÷ at 1 minute (with --long)",
        place=Place.NOTHING,
        measure=memory.measure,
        why_not=_not_long,
    ),
)


def skipped(figure: Figure, why: str) -> list[Row]:
    """The row of a figure that is not measured."""
    return [not_measured(figure.name, figure.said, why)]

"""Open loop: how late arrivals begin, ours against pgbench -R, at one rate with 64 connections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.load.arrivals import scaled, schedule
from tests.bench import recorded
from tests.bench.bed import Bed
from tests.bench.peers import pgbench
from tests.bench.rounds import interleaved
from tests.bench.row import Limit, NotMeasured, Row, of_pairs, of_values

CONNECTIONS = 64
INCIDENT = "arrivals_by_key"
OURS, PGBENCH = "ours", "pgbench"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ours:
    """What our side gave besides its lag.

    :param early_s: the earliest begin after its due time; below 0 is too early
    :param begun_p99_s: of the time until a request's task ran, without its wait for a connection
    """

    early_s: float
    begun_p99_s: float
    achieved: float


async def measure(bed: Bed, per_s: int) -> list[Row]:
    """Lag, punctuality and achieved rate at ``per_s`` arrivals a second.

    Both lags run from an arrival's due time to when it has a connection to send its statement on: pgbench has no tasks
    that begin without one.
    """
    incident, folder = bed.incident(INCIDENT)
    seconds = bed.extent.side_s
    traffic = incident.traffic
    rate = per_s / sum(getattr(phase, "per_s", 0.0) for phase in traffic.phases)
    stretch = recorded.middle(seconds)
    found: list[_Ours] = []

    async def our_side() -> float:
        seed = len(found) + 1
        run = await bed.run(incident, folder, seconds=seconds, rate=rate, seed=seed)
        rows = recorded.rows(run)
        due = schedule(scaled(traffic, rate=rate, ends_s=seconds), seed).due_ns
        if len(rows) != len(due):
            raise NotMeasured(f"{len(rows)} requests were recorded of {len(due)} arrivals")
        steady = rows[rows["intended"] >= stretch.begin_s * 1e9]
        found.append(
            _Ours(
                early_s=float((rows["started"] - rows["intended"]).min()) / 1e9,
                begun_p99_s=_p99((steady["started"] - steady["intended"]) / 1e9),
                achieved=recorded.achieved(rows, due, stretch),
            )
        )
        return _p99((steady["acquired"] - steady["intended"]) / 1e9)

    async def their_side() -> float:
        done = await pgbench.at_rate(
            bed.stack, bed.new_folder(), clients=CONNECTIONS, seconds=seconds, per_s=float(per_s)
        )
        return _p99(done.lag_s[done.ended_s >= done.ended_s[0] + stretch.begin_s])

    await bed.warm()
    rounds = await interleaved(bed.extent.rounds, {OURS: our_side, PGBENCH: their_side}, bed.say)
    figure, what = f"open-{per_s}", f"open {per_s:,}/s, 1 worker, {CONNECTIONS} connections"
    lag = of_pairs(
        figure,
        f"{what}: p99 of schedule lag, ours ÷ pgbench",
        [{side: seconds * 1e3 for side, seconds in one.items()} for one in rounds],
        OURS,
        PGBENCH,
        limit=Limit(comparator="<=", value=1.0),
        unit=" ms",
    )
    earliest = min(one.early_s for one in found)
    early = of_values(
        figure,
        f"{what}: begun before due",
        [float(sum(one.early_s < 0 for one in found))],
        limit=Limit(comparator="==", value=0.0),
        note=f"runs with an early begin; the nearest began {earliest * 1e6:.1f} µs after its due time",
        detail={"earliest_s": earliest, "begun_p99_s": [one.begun_p99_s for one in found]},
    )
    achieved = of_values(
        figure,
        f"{what}: achieved ÷ target",
        [one.achieved for one in found],
        limit=Limit(comparator=">=", value=0.999),
        note="finished ÷ due, in the steady middle",
    )
    return [lag, early, achieved]


def _p99(values: NDArray[np.float64]) -> float:
    if not len(values):
        raise NotMeasured("no request in the steady middle")
    return float(np.quantile(values, 0.99, method="inverted_cdf"))

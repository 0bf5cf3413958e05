"""The server stands still for some seconds: whether the report says what its clients went through.

A closed loop would ask nothing while it waits and hide it (coordinated omission). What must be reported follows from the
schedule and from when the server stood still, both of which do not depend on anything that was measured.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from harness.clock import Origin, now_ns
from harness.criteria import parse
from harness.evaluation import evaluate
from harness.load.arrivals import scaled, schedule
from harness.record import format as layout
from harness.record.reader import Run, read_json
from tests.bench.bed import Bed
from tests.bench.prediction import response_ns
from tests.bench.row import Limit, NotMeasured, Row, of_values
from tests.bench.server import postgres_of

INCIDENT, PHASE = "stopped_server", "steady"
FIGURE = "stopped-server"
WITHIN = Limit(comparator="<=", value=0.02)
LOOK_AGAIN_S = 0.02
NOTICED_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stop:
    """When the server stood still, nanoseconds since the origin."""

    begin_ns: int
    end_ns: int


async def measure(bed: Bed) -> list[Row]:
    """Reported p99 and maximum against those that the schedule predicts."""
    ends_s, stop_at_s, stop_for_s = (10.0, 2.0, 2.0) if bed.extent.quick else (25.0, 8.0, 5.0)
    incident, incident_folder = bed.incident(INCIDENT)
    traffic = incident.traffic
    shown = scaled(traffic, ends_s=ends_s)
    begin_ns = next(phase.at_s for phase in shown.phases if phase.name == PHASE) * 1e9
    postmaster = postgres_of(bed.stack).postmaster_pid
    assert postmaster is not None, "a server of ours is a process of this machine"
    errors: dict[str, list[float]] = {"p99": [], "max": []}
    told: list[dict[str, float]] = []
    for seed in range(1, bed.extent.rounds + 1):
        folder = bed.new_folder()
        stopping = asyncio.create_task(_stop(postmaster, folder, stop_at_s, stop_for_s))
        try:
            await bed.run(incident, incident_folder, seconds=ends_s, seed=seed, folder=folder)
            stop = await stopping
        finally:
            stopping.cancel()  # its own end lets the server go on
            with suppress(asyncio.CancelledError, NotMeasured):
                await stopping
        due_ns = schedule(shown, seed).due_ns
        predicted_ns = response_ns(due_ns[due_ns >= begin_ns], stop.begin_ns, stop.end_ns)
        run = Run(folder)
        for statistic, predicted_s in (
            ("p99", float(np.quantile(predicted_ns, 0.99, method="inverted_cdf")) / 1e9),
            ("max", float(predicted_ns.max()) / 1e9),
        ):
            text = f"{statistic}(select) > 0ms during {PHASE}"
            criterion = parse(text, operations=["select"], phases=[PHASE], where=FIGURE, field=statistic)
            value = evaluate(run, criterion, statistic).value
            if value is None:
                raise NotMeasured(f"the run has no {statistic}")
            errors[statistic].append(abs(value / predicted_s - 1))
            told.append({"reported_s": value, "predicted_s": predicted_s})
            bed.say(f"  {statistic}: reported {value:.4f} s, predicted {predicted_s:.4f} s")
    what = f"server stopped for {stop_for_s:g} s at 500/s: reported"
    return [
        of_values(
            FIGURE,
            f"{what} {statistic} off the schedule's",
            values,
            limit=WITHIN,
            note=f"reported {told[first]['reported_s']:.4f} s, from the schedule {told[first]['predicted_s']:.4f} s",
            detail={"runs": told[first::2]},
        )
        for first, (statistic, values) in enumerate(errors.items())
    ]


async def _stop(postmaster: int, folder: Path, at_s: float, for_s: float) -> _Stop:
    """Stop the server's processes at ``at_s`` of the run in ``folder``; they go on, whatever happens."""
    origin = await _origin(folder)
    await asyncio.sleep(max(0.0, at_s - origin.at_s()))
    stopped: list[int] = []
    begin_ns = now_ns()
    try:
        # The postmaster first, so that no new backend escapes; whoever appeared meanwhile is found the second time.
        stopped += _signal([postmaster], signal.SIGSTOP)
        while escaped := [pid for pid in _children(postmaster) if pid not in stopped]:
            stopped += _signal(escaped, signal.SIGSTOP)
            if not set(escaped) & set(stopped):
                break  # they ended by themselves
        await asyncio.sleep(for_s - (now_ns() - begin_ns) / 1e9)
    finally:
        # The postmaster last: its backends answer at once, and new connections come after them.
        _signal(reversed(stopped), signal.SIGCONT)
        end_ns = now_ns()
    return _Stop(begin_ns=begin_ns - origin.monotonic_ns, end_ns=end_ns - origin.monotonic_ns)


async def _origin(folder: Path) -> Origin:
    """The run's origin, as soon as it is fixed."""
    deadline = asyncio.get_running_loop().time() + NOTICED_S
    while asyncio.get_running_loop().time() < deadline:
        path = folder / layout.RUN
        if path.exists() and (origin := read_json(path)["origin"]) is not None:
            return Origin(**origin)
        await asyncio.sleep(LOOK_AGAIN_S)
    raise NotMeasured(f"our run did not begin within {NOTICED_S:.0f} s")


def _children(postmaster: int) -> list[int]:
    return [process.pid for process in psutil.Process(postmaster).children(recursive=True)]


def _signal(pids: Iterable[int], number: signal.Signals) -> list[int]:
    """Send a signal to each process that is still there; to which it went."""
    sent = []
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            sent.append(pid)
    return sent

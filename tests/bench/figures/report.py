"""A large run's report: how long it takes to make, and its size."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from harness.model import Verdict
from harness.record.reader import Run
from harness.report import html
from tests.bench.bed import Bed
from tests.bench.row import Limit, Row, of_values
from tests.unit.report.sample_runs import make_experiment

FIGURE = "report"
REQUESTS = 1_000_000
LENGTH_S = 600.0
QUICK_REQUESTS = 50_000
VARIANTS = ("before", "after")


async def measure(bed: Bed) -> list[Row]:
    """Time and size of report.html from run folders that were read before, as ``flashcrowd report`` finds them."""
    wanted = QUICK_REQUESTS if bed.extent.quick else REQUESTS
    folder = bed.new_folder()
    bed.say(f"  making runs of {wanted:,} requests")
    # A tenth more than wanted, as the calm before the burst has fewer; how many there are is counted below.
    per_s = 1.1 * wanted / len(VARIANTS) / LENGTH_S
    verdict, runs = await asyncio.to_thread(make_experiment, folder, seconds=LENGTH_S, per_s=per_s, variants=VARIANTS)
    requests = sum(run.query("SELECT count(*) FROM requests")[0][0] for run in runs)
    assert requests >= wanted, f"{requests} requests were made of {wanted}"
    path = folder / "report.html"
    times = []
    for number in range(1, bed.extent.rounds + 1):
        times.append(await asyncio.to_thread(_time, path, verdict, folder))
        bed.say(f"  round {number} of {bed.extent.rounds}: {times[-1]:.3g} s")
    what = f"report.html of {requests:,} requests, {LENGTH_S:g} s:"
    return [
        of_values(FIGURE, f"{what} time", times, limit=Limit(comparator="<=", value=3.0), unit="s"),
        of_values(
            FIGURE, f"{what} size", [path.stat().st_size / 1e6], limit=Limit(comparator="<=", value=3.0), unit="MB"
        ),
    ]


def _time(path: Path, verdict: Verdict, folder: Path) -> float:
    """Seconds to read the runs and write their report."""
    begun = time.perf_counter()
    html.write(path, verdict, [Run(folder / name) for name in VARIANTS])
    return time.perf_counter() - begun

"""Memory of harness and worker late in a long run against that early in it: what grows with time would show.

Runs ``flashcrowd run`` as a process of its own, so that nothing that the bench did before counts.
"""

from __future__ import annotations

import asyncio
import os
import sys

import tests.bench.peers.contrib as contrib
from harness.catalog import OWN_FOLDER
from harness.record.reader import Run
from tests.bench.bed import INCIDENTS, VARIANT, Bed
from tests.bench.row import Limit, NotMeasured, Row, of_values

FIGURE = "memory"
EARLY_S, LATE_S = 60.0, 600.0
#: The samples this near are taken together, as one alone may fall on a moment's peak.
AROUND_S = 5.0
OVER_S = 120.0
LIMIT = Limit(comparator="<=", value=1.1)
METRICS = {"harness": "flashcrowd_harness_resident_bytes", "worker": "flashcrowd_worker_resident_bytes"}
_COMMAND = "import harness.cli; harness.cli.main()"


async def measure(bed: Bed, early_s: float = EARLY_S, late_s: float = LATE_S) -> list[Row]:
    """A thousand arrivals a second for ``late_s``: memory at its end ÷ memory at ``early_s``."""
    out = bed.new_folder()
    command = [
        sys.executable,
        "-c",
        _COMMAND,
        "run",
        "arrivals-by-key",
        "--stack",
        "embedded",
        "--duration",
        f"{late_s:g}s",
        "--out",
        str(out),
    ]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=contrib.ROOT,
        env={**os.environ, OWN_FOLDER: str(INCIDENTS)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(late_s + OVER_S):
            said, _ = await process.communicate()
    except TimeoutError as error:
        raise NotMeasured("the long run was not over in time") from error
    finally:
        if process.returncode is None:
            process.terminate()  # a harness that is told to end leaves no server behind
            await process.communicate()
    folders = sorted(out.glob(f"arrivals-by-key/*Z/{VARIANT}"))
    if not folders or (Run(folders[0]).finished or {}).get("status") != "completed":
        raise NotMeasured(f"the long run was not completed:\n{said.decode(errors='replace')[-2000:]}")
    run = Run(folders[0])
    return [_row(run, who, metric, early_s, late_s) for who, metric in METRICS.items()]


def _row(run: Run, who: str, metric: str, early_s: float, late_s: float) -> Row:
    early, late = (_median(run, metric, begin, end) for begin, end in _windows(early_s, late_s))
    return of_values(
        FIGURE,
        f"memory of the {who}, at {late_s:g} s ÷ at {early_s:g} s",
        [late / early],
        limit=LIMIT,
        note=f"{early / 2**20:.1f} MiB, then {late / 2**20:.1f} MiB",
        detail={"early_bytes": early, "late_bytes": late},
    )


def _windows(early_s: float, late_s: float) -> tuple[tuple[float, float], tuple[float, float]]:
    return (early_s - AROUND_S, early_s + AROUND_S), (late_s - 2 * AROUND_S, late_s)


def _median(run: Run, metric: str, begin_s: float, end_s: float) -> float:
    [(value,)] = run.query(
        "SELECT median(value) FROM samples WHERE metric = ? AND at_s BETWEEN ? AND ?", [metric, begin_s, end_s]
    )
    if value is None:
        raise NotMeasured(f"{metric} was not sampled between {begin_s:g} and {end_s:g} s")
    return float(value)

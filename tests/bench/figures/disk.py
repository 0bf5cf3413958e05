"""Bytes on disk for each request: as workers write them, and as Parquet afterwards."""

from __future__ import annotations

from harness.load.arrivals import scaled, schedule
from harness.record import format as layout
from harness.record.reader import Run
from tests.bench import recorded
from tests.bench.bed import Bed
from tests.bench.figures.open_loop import INCIDENT
from tests.bench.row import Limit, NotMeasured, Row, of_values

FIGURE = "disk"
LIMIT = Limit(comparator="<=", value=40.0)


async def measure(bed: Bed) -> list[Row]:
    """Sizes of the files of one run, over its number of arrivals."""
    incident, folder = bed.incident(INCIDENT)
    seconds, rate = bed.extent.side_s, 2.0
    run_folder = await bed.run(incident, folder, seconds=seconds, rate=rate)
    arrivals = len(schedule(scaled(incident.traffic, rate=rate, ends_s=seconds), 1))
    if len(recorded.rows(run_folder)) != arrivals:
        raise NotMeasured(f"{len(recorded.rows(run_folder))} requests were recorded of {arrivals} arrivals")
    raw = sum(path.stat().st_size for path in run_folder.glob("requests-*.rows"))
    Run(run_folder).query("SELECT count(*) FROM requests")  # the first reader makes Parquet of them
    parquet = (run_folder / layout.REQUESTS).stat().st_size
    note = f"{arrivals:,} requests"
    return [
        of_values(FIGURE, f"disk per request, {kind}", [size / arrivals], limit=LIMIT, unit="B", note=note)
        for kind, size in (("rows", raw), ("Parquet", parquet))
    ]

"""What measuring costs: throughput with probes once a second, and with nobody looking on."""

from __future__ import annotations

from tests.bench import recorded
from tests.bench.bed import Bed
from tests.bench.figures.closed import ours
from tests.bench.rounds import interleaved
from tests.bench.row import Limit, Row, of_pairs

#: A hundredth is looked for in throughputs of which two of the same side differ by several: more rounds than for other figures.
TIMES = 4


async def measure(bed: Bed) -> list[Row]:
    """Requests per second of the closed select, with ÷ without. Without are no probes and no progress either."""
    incident, folder = bed.incident("select_by_key")
    seconds = bed.extent.side_s

    async def without() -> float:
        run = await bed.run_bare(incident, folder, seconds=seconds)
        return recorded.finished_per_second(recorded.rows(run), recorded.middle(seconds))

    await bed.warm()
    sides = {"with": lambda: ours(bed, "select_by_key"), "without": without}
    rounds = await interleaved(TIMES * bed.extent.rounds, sides, bed.say)
    what = "select by key, closed: throughput with 1 Hz probes ÷ without"
    limit = Limit(comparator=">=", value=0.99)
    return [of_pairs("probes", what, rounds, "with", "without", limit=limit, unit="/s")]

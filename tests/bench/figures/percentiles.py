"""Our percentiles against NumPy's over the raw rows: they must be the same numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.criteria import parse
from harness.evaluation import evaluate
from harness.record.reader import Run
from tests.bench import recorded
from tests.bench.bed import Bed
from tests.bench.figures.open_loop import INCIDENT
from tests.bench.row import Limit, NotMeasured, Row, of_values

FIGURE = "percentiles"
SHARES = ("50", "75", "90", "95", "99", "99.9")
#: Part of a request's time, and the columns of a row that it lies between.
PARTS = {
    "response": ("intended", "finished"),
    "service": ("acquired", "finished"),
    "pool_wait": ("started", "acquired"),
    "lag": ("intended", "started"),
}


async def measure(bed: Bed) -> list[Row]:
    """How many percentiles differ, of all parts of the requests' time."""
    incident, folder = bed.incident(INCIDENT)
    run_folder = await bed.run(incident, folder, seconds=bed.extent.side_s)
    rows = recorded.rows(run_folder)
    run = Run(run_folder)
    compared: list[dict[str, object]] = []
    for part, (begin, end) in PARTS.items():
        ns = rows[end] - rows[begin]
        for share in SHARES:
            expected = _nearest_rank(ns, float(share) / 100) / 1e9
            text = f"p{share}(select.{part}) >= 0ms"
            criterion = parse(text, operations=["select"], phases=[], where=FIGURE, field=part)
            value = evaluate(run, criterion, text).value
            if value is None:
                raise NotMeasured(f"{text}: too few of {len(ns)} requests")
            compared.append({"criterion": text, "ours_s": value, "numpy_s": expected})
    different = [one for one in compared if one["ours_s"] != one["numpy_s"]]
    return [
        of_values(
            FIGURE,
            "percentiles that differ from NumPy's over the raw times",
            [float(len(different))],
            limit=Limit(comparator="==", value=0.0),
            note=f"of {len(compared)}, over {len(rows):,} requests",
            detail={"compared": compared},
        )
    ]


def _nearest_rank(values: NDArray[np.int64], share: float) -> float:
    # 0.07 * 100 is 7.000000000000001 in floating point, and would be rank 8: this little less never changes another rank.
    return float(np.quantile(values, share - 1e-12, method="inverted_cdf"))

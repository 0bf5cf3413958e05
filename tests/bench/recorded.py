"""What our side did, from the raw rows that its workers recorded; nothing of it comes from Locust's statistics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.model import Outcome
from harness.record.reader import read_codes, read_rows
from tests.bench.row import NotMeasured

#: The first second is left out, as users connect and prepare in it; with short runs a fifth of them.
WARM_UP_S = 1.0
WARM_UP_SHARE = 0.2
#: The last stretch, in which users stop one by one.
END_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Middle:
    """The steady middle of a run, seconds since the origin."""

    begin_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """How long it is."""
        return self.end_s - self.begin_s


def middle(ends_s: float) -> Middle:
    """The steady middle of traffic that ends at ``ends_s``.

    >>> middle(5), middle(2)
    (Middle(begin_s=1.0, end_s=4.75), Middle(begin_s=0.4, end_s=1.75))
    """
    return Middle(begin_s=min(WARM_UP_S, ends_s * WARM_UP_SHARE), end_s=ends_s - END_S)


def rows(folder: Path) -> NDArray[Any]:
    """The rows of all workers, as :data:`harness.record.row.ROW`, of a run that no reader has made into Parquet yet.

    :raises NotMeasured: there are none, or a request did not end ok
    """
    found = []
    for path in sorted(folder.glob("requests-*.rows")):
        mine = read_rows(path)
        _, outcomes = read_codes(path.with_suffix(".jsonl"))
        good = [code for code, name in outcomes.items() if name == Outcome.OK]
        failed = ~np.isin(mine["outcome"], good)
        if failed.any():
            names = {outcomes.get(int(code), str(code)) for code in np.unique(mine["outcome"][failed])}
            raise NotMeasured(f"{int(failed.sum())} of {len(mine)} requests failed: {', '.join(sorted(names))}")
        found.append(mine)
    if not sum(map(len, found)):
        raise NotMeasured(f"no request was recorded in {folder}")
    return np.concatenate(found)


def finished_per_second(recorded: NDArray[Any], stretch: Middle) -> float:
    """Requests that finished in a stretch, per second of it."""
    return _in(recorded["finished"], stretch) / stretch.length_s


def achieved(recorded: NDArray[Any], due_ns: NDArray[np.int64], stretch: Middle) -> float:
    """Requests that finished in a stretch, as a share of those that were due in it.

    :param due_ns: of the whole schedule, since the origin
    """
    return _in(recorded["finished"], stretch) / _in(due_ns, stretch)


def _in(times_ns: NDArray[np.int64], stretch: Middle) -> int:
    return int(((times_ns >= stretch.begin_s * 1e9) & (times_ns < stretch.end_s * 1e9)).sum())

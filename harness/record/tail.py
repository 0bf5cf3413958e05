"""What workers have added to their request files since the last look: for live progress and for Prometheus.

Reading is by offset and never holds a lock: a worker notices nothing of it. A torn last row is left for the next look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.record.reader import read_codes, read_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRows:
    """Requests that finished since the last look.

    :param groups: (operation, outcome) to its rows, in the layout of :data:`harness.record.row.ROW`, in the order in which
        each worker wrote them; a group without rows is left out
    """

    groups: Mapping[tuple[str, str], NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.groups.values())

    def of(self, operation: str) -> Iterator[tuple[str, NDArray[Any]]]:
        """Outcome and rows of one operation."""
        for (name, outcome), rows in self.groups.items():
            if name == operation:
                yield outcome, rows

    def count(self, *, operation: str | None = None, outcome: str | None = None) -> int:
        """How many rows are of that operation and outcome; None is any."""
        return sum(
            len(rows)
            for (name, ending), rows in self.groups.items()
            if operation in (None, name) and outcome in (None, ending)
        )

    def response_s(self, *, operation: str | None = None) -> NDArray[np.float64]:
        """Response times, from the intended start, seconds; of one operation or of all, in no particular order."""
        parts = [response_s(rows) for (name, _), rows in self.groups.items() if operation in (None, name)]
        return np.concatenate(parts) if parts else np.empty(0)


@dataclass(slots=True)
class _Worker:
    """How far one worker's file has been read, and what its codes mean."""

    rows_read: int = 0
    operations: dict[int, str] = field(default_factory=dict)
    outcomes: dict[int, str] = field(default_factory=dict)


class Tail:
    """Follows the growing ``requests-*.rows`` of a run folder; workers that begin later are found as well.

    Once the run has ended and its rows were made into Parquet, there is nothing more to be seen here.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._workers: dict[Path, _Worker] = {}

    def poll(self) -> NewRows:
        """Rows that became whole since the last call; the first call gives all that there are."""
        found: dict[tuple[str, str], list[NDArray[Any]]] = {}
        for path in sorted(self._folder.glob("requests-*.rows")):
            worker = self._workers.setdefault(path, _Worker())
            try:
                rows = read_rows(path, worker.rows_read)
            except FileNotFoundError:
                continue  # a reader has just made them into Parquet
            if len(rows):
                worker.rows_read += len(rows)
                for key, group in _groups(rows, worker, path):
                    found.setdefault(key, []).append(group)
        return NewRows(groups={key: np.concatenate(parts) for key, parts in found.items()})


def response_s(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Response times of raw rows: from the intended start to the end, seconds."""
    nanoseconds: NDArray[np.int64] = rows["finished"] - rows["intended"]
    return nanoseconds / 1e9


def _groups(rows: NDArray[Any], worker: _Worker, path: Path) -> Iterator[tuple[tuple[str, str], NDArray[Any]]]:
    # One key per pair of codes, so that a batch is cut up in a single pass; counting them is a tenth of sorting them.
    keys = rows["operation"].astype(np.uint16) << np.uint16(8) | rows["outcome"]
    present = [(int(key), int(key) >> 8, int(key) & 0xFF) for key in np.flatnonzero(np.bincount(keys))]
    if any(op not in worker.operations or out not in worker.outcomes for _, op, out in present):
        # A name is written before the first row that uses its code, so it stands there by now.
        worker.operations, worker.outcomes = read_codes(path.with_suffix(".jsonl"))
    for key, op, out in present:
        names = worker.operations.get(op, f"operation {op}"), worker.outcomes.get(out, f"outcome {out}")
        yield names, rows if len(present) == 1 else rows[keys == key]

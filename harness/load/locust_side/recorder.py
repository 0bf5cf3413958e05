"""Request rows: gathered on the loop's thread, written and counted on Locust's.

The loop's thread only appends integers to an array (0.3 µs a request); twice a second it hands the full array over.
Locust's thread turns times into nanoseconds since the origin, appends the rows to the worker's file and feeds the same
rows to Locust's statistics, so that its console and web page show what the record has.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.clock import Origin
from harness.errors import RecordingError
from harness.load.locust_side.outcome import detail_of, message_of
from harness.model import Outcome
from harness.record.format import MAX_CODES, NOT_REACHED
from harness.record.row import ROW
from harness.record.writer import JsonLines, append_whole

#: Of each kind of failure this many are kept with their text; deadlocks all, since they are matched to the server's log.
KEPT_FAILURES = 20
DEADLOCK = "40P01"
_COLUMNS = 5


class Codes:
    """Names to numbers that fit a byte, each announced when it is new."""

    def __init__(self, kind: str, announce: Callable[[dict[str, Any]], None]) -> None:
        self._kind = kind
        self._announce = announce
        self.numbers: dict[str, int] = {}
        self.names: list[str] = []

    def __getitem__(self, name: str) -> int:
        number = self.numbers.get(name)
        if number is None:
            number = len(self.names)
            if number >= MAX_CODES - 1:
                # an outcome's name that varies from request to request would end here
                name = f"other {self._kind}"
                number = MAX_CODES - 1
                if name in self.numbers:
                    return number
            else:
                self.names.append(name)
            self.numbers[name] = number
            self._announce({"kind": self._kind, "code": number, "name": name})
        return number

    def name(self, number: int) -> str:
        """The name of a number."""
        return self.names[number] if number < len(self.names) else f"other {self._kind}"


class Recorder:
    """One worker's rows.

    :param folder: the run folder; None under a plain ``locust -f``, where only Locust's statistics are fed
    """

    def __init__(self, folder: Path | None, worker: int) -> None:
        self._rows = array("q")
        self._full: deque[array[int]] = deque()
        self._announced: deque[dict[str, Any]] = deque()
        self._failures: deque[dict[str, Any]] = deque()
        self._kept: Counter[str] = Counter()
        self.operations = Codes("operation", self._announced.append)
        self.outcomes = Codes("outcome", self._announced.append)
        self.ok = self.outcomes[Outcome.OK]
        self.origin = Origin(monotonic_ns=0, wall_s=0.0)
        self._names_file: JsonLines | None = None
        self._failures_file: JsonLines | None = None
        self._fd = -1
        self._path = Path()
        if folder is not None:
            self._path = folder / f"requests-{worker}.rows"
            try:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise RecordingError(f"cannot write {self._path}: {error.strerror}") from error
            self._names_file = JsonLines(folder / f"requests-{worker}.jsonl")
            self._failures_file = JsonLines(folder / f"failures-{worker}.jsonl")

    # --- on the loop's thread

    def add(
        self,
        operation: int,
        outcome: int,
        arrival: int,
        attempt: int,
        intended: int,
        started: int,
        acquired: int,
        finished: int,
    ) -> None:
        """One request; times are CLOCK_MONOTONIC in nanoseconds, ``acquired`` 0 where no connection was got."""
        last = arrival | operation << 32 | outcome << 40 | attempt << 48
        self._rows.extend((intended, started, acquired, finished, last))

    def failed(self, name: str, outcome: str, arrival: int, attempt: int, finished: int, error: BaseException) -> None:
        """Keep what the driver said of a failure, if it is one of the first of its kind, or a deadlock."""
        self._kept[outcome] += 1
        if self._kept[outcome] <= KEPT_FAILURES or outcome == DEADLOCK:
            self._failures.append(
                {
                    "at_s": finished,
                    "operation": name,
                    "arrival": arrival,
                    "attempt": attempt,
                    "outcome": outcome,
                    "message": message_of(error)[:500],
                    "detail": detail_of(error)[:2000],
                }
            )

    def hand_over(self) -> None:
        """Pass the gathered rows to Locust's thread."""
        if self._rows:
            self._full.append(self._rows)
            self._rows = array("q")

    # --- on Locust's thread

    def flush(self) -> NDArray[Any]:
        """Write what was handed over.

        :returns: the rows written, as :data:`harness.record.row.ROW`
        :raises RecordingError: the disk is full
        """
        parts = [self._full.popleft() for _ in range(len(self._full))]
        rows = _as_rows(parts, self.origin.monotonic_ns)
        if self._names_file is not None and self._failures_file is not None:
            while self._announced:
                self._names_file.append(self._announced.popleft())
            if len(rows):
                append_whole(self._fd, rows.tobytes(), self._path)
            while self._failures:
                failure = self._failures.popleft()
                failure["at_s"] = (failure["at_s"] - self.origin.monotonic_ns) / 1e9
                self._failures_file.append(failure)
        else:
            self._failures.clear()
        return rows

    def close(self) -> None:
        """Close the files."""
        if self._names_file is not None and self._failures_file is not None:
            self._names_file.close()
            self._failures_file.close()
            os.close(self._fd)
            self._names_file = None


def _as_rows(parts: list[array[int]], origin_ns: int) -> NDArray[Any]:
    """Rows of the record from what the loop's thread gathered; the packed last column is already laid out as in the file."""
    if not parts:
        return np.empty(0, dtype=ROW)
    gathered = np.concatenate([np.frombuffer(part, dtype=np.int64) for part in parts]).reshape(-1, _COLUMNS)
    never = gathered[:, 2] == 0
    gathered[:, :4] -= origin_ns
    gathered[never, 2] = NOT_REACHED
    return gathered.astype("<i8", copy=False).view(ROW).reshape(-1)

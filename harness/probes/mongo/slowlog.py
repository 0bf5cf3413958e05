"""Slow operations, from the members' structured logs: counted, and the slowest kept.

A member logs an operation that took longer than its ``slowms`` (100 ms unless set otherwise) once it has ended. What stands out
at the time becomes a line of ``slow_operations.jsonl``, so that a flood of them does not flood the record.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.clock import Origin
from harness.model import Sample
from harness.probes.mongo.connection import APPLICATION_NAME
from harness.probes.probe import Unmeasured
from harness.probes.serverlog import MOST_BYTES, GrowingLog
from harness.record import format as layout
from harness.record.writer import JsonLines

SLOW_QUERY = 51803
#: One that is slower than all but so many before it is kept.
KEPT = 20
_MOST_TEXT = 2000


class SlowLogProbe:
    """Follows the members' logs from now on.

    :param logs: each member's log by its name
    :param folder: the run folder
    """

    name = "mongo-log"

    def __init__(self, logs: Mapping[str, Path], folder: Path, origin: Origin) -> None:
        self._logs = {member: GrowingLog(path) for member, path in logs.items()}
        self._lines = JsonLines(folder / layout.SLOW_OPERATIONS)
        self._origin = origin
        self._counts: Counter[str] = Counter()
        self._slowest_ms: list[float] = []  # a heap, of at most KEPT

    async def sample(self, at_s: float) -> list[Sample]:
        """``flashcrowd_log_slow_operations_total``, as far as the logs were read.

        :raises Unmeasured: no log can be read
        """
        samples = []
        why: OSError | None = None
        for member, log in self._logs.items():
            try:
                self._read(member, log)
            except OSError as error:
                why = error
                continue
            count = float(self._counts[member])
            metric, labels = "flashcrowd_log_slow_operations_total", {"member": member}
            samples.append(Sample(at_s=at_s, metric=metric, value=count, labels=labels))
        if not samples:
            raise Unmeasured("no member's log can be read") from why
        return samples

    async def close(self) -> None:
        """Close its file."""
        self._lines.close()

    def _read(self, member: str, log: GrowingLog) -> None:
        for record in log.read(MOST_BYTES):
            attributes = record.get("attr")
            if record.get("id") != SLOW_QUERY or not isinstance(attributes, dict):
                continue
            if attributes.get("appName") == APPLICATION_NAME:
                continue
            self._counts[member] += 1
            took_ms = float(attributes.get("durationMillis", 0))
            if len(self._slowest_ms) == KEPT and took_ms <= self._slowest_ms[0]:
                continue
            heapq.heappush(self._slowest_ms, took_ms)
            if len(self._slowest_ms) > KEPT:
                heapq.heappop(self._slowest_ms)
            self._lines.append(_line(member, record, attributes, self._origin))


def _line(member: str, record: Mapping[str, Any], attributes: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    ended = datetime.fromisoformat(record["t"]["$date"]).timestamp()
    return {
        "at_s": round(origin.from_wall(ended), 3),
        "member": member,
        "took_s": attributes.get("durationMillis", 0) / 1000,
        "namespace": attributes.get("ns"),
        "type": attributes.get("type"),
        "plan": attributes.get("planSummary"),
        "keys_examined": attributes.get("keysExamined"),
        "documents_examined": attributes.get("docsExamined"),
        "returned": attributes.get("nreturned"),
        "application": attributes.get("appName"),
        "command": json.dumps(attributes.get("command"), ensure_ascii=False)[:_MOST_TEXT],
    }

"""What was sampled so far, as the tables of a run: a series has the same points while it goes on as afterwards."""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import cached_property
from pathlib import Path

import duckdb

from harness.probes.sampler import Tick
from harness.record.reader import Run


class LiveSamples(Run):
    """The tables ``samples`` and ``ticks`` of a run that goes on, of a few metrics; see :class:`Run`. No other table is there.

    :param metrics: those that are kept
    :param keep_s: how long; None: all of them
    """

    def __init__(self, metrics: Collection[str], interval_s: float, keep_s: float | None) -> None:
        self.folder = Path()  # nothing is read from it
        self.meta = {"interval_s": interval_s}
        self._metrics, self._keep_s = frozenset(metrics), keep_s

    @cached_property
    def db(self) -> duckdb.DuckDBPyConnection:
        con = duckdb.connect(":memory:", config={"threads": 1})
        con.execute("CREATE TABLE samples (at_s DOUBLE, probe VARCHAR, metric VARCHAR, labels VARCHAR, value DOUBLE)")
        con.execute("CREATE TABLE ticks (at_s DOUBLE, probe VARCHAR, took_s DOUBLE)")
        return con

    def add(self, tick: Tick) -> None:
        """Add what a probe said."""
        at_s = round(tick.at_s, 6)
        rows = [
            (
                round(sample.at_s, 6),
                tick.probe,
                sample.metric,
                json.dumps(dict(sample.labels), separators=(",", ":")),
                sample.value,
            )
            for sample in tick.samples
            if sample.metric in self._metrics
        ]
        self.db.execute("INSERT INTO ticks VALUES (?, ?, ?)", [at_s, tick.probe, tick.took_s])
        if rows:
            self.db.executemany("INSERT INTO samples VALUES (?, ?, ?, ?, ?)", rows)
        if self._keep_s is not None:
            self.db.execute("DELETE FROM samples WHERE at_s < ?", [at_s - self._keep_s])
            self.db.execute("DELETE FROM ticks WHERE at_s < ?", [at_s - self._keep_s])

    def close(self) -> None:
        """Forget everything; a second call does nothing."""
        if "db" in self.__dict__:
            self.db.close()
            del self.__dict__["db"]

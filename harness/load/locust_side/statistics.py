"""Feeds Locust's statistics in batches, so that its console and web page show our operations with true rates and failures.

Locust's own entry point takes one request at a time and costs more than a select; its fields are plain sums and
dictionaries (locust 2.47, ``stats.StatsEntry.log``), which a batch can add to. Its response times are rounded to two
digits, as Locust itself does; figures of a report never come from here. What the end of the test cut off is left out, as
Locust leaves out a request that it interrupts: it has not failed, and Locust ends with an error code where one has.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from locust.stats import RequestStats, StatsEntry, StatsError
from numpy.typing import NDArray

from harness.load.locust_side.recorder import Recorder
from harness.load.locust_side.source import Use
from harness.model import Outcome


def feed(stats: RequestStats, rows: NDArray[Any], recorder: Recorder, uses: Mapping[str, Use]) -> None:
    """Add rows to Locust's statistics.

    :param uses: what each operation works with; its database is Locust's type of request
    """
    cut_off = [code for code, name in enumerate(recorder.outcomes.names) if name == Outcome.CUT_OFF]
    rows = rows[~np.isin(rows["outcome"], cut_off)]
    for operation in np.unique(rows["operation"]):
        mine = rows[rows["operation"] == operation]
        name = recorder.operations.name(int(operation))
        method = str(uses[name].database)
        response_ms = (mine["finished"] - mine["intended"]) / 1e6
        failures = mine["outcome"] != recorder.ok
        for entry in (stats.get(name, method), stats.total):
            _add(entry, response_ms, int(failures.sum()))
        for outcome, count in zip(*np.unique(mine["outcome"][failures], return_counts=True), strict=True):
            text = recorder.outcomes.name(int(outcome))
            key = StatsError.create_key(method, name, text)
            if key not in stats.errors:
                stats.errors[key] = StatsError(method, name, text)
            stats.errors[key].occurrences += int(count)


def _add(entry: StatsEntry, response_ms: NDArray[np.float64], failures: int) -> None:
    now = time.time()
    second = int(now)
    if entry.use_response_times_cache and entry.last_request_timestamp and second > int(entry.last_request_timestamp):
        entry._cache_response_times(second - 1)
    entry.num_requests += len(response_ms)
    entry.num_reqs_per_sec[second] += len(response_ms)
    entry.last_request_timestamp = now
    entry.total_response_time += float(response_ms.sum())
    least, most = float(response_ms.min()), float(response_ms.max())
    entry.min_response_time = least if entry.min_response_time is None else min(entry.min_response_time, least)
    entry.max_response_time = max(entry.max_response_time, most)
    for rounded, count in zip(*np.unique(_rounded(response_ms), return_counts=True), strict=True):
        entry.response_times[int(rounded)] += int(count)
    if failures:
        entry.num_failures += failures
        entry.num_fail_per_sec[second] += failures


def _rounded(response_ms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole milliseconds below 100, above that two digits, as Locust's ``bucket_response_time``."""
    digits = np.floor(np.log10(np.maximum(response_ms, 1.0)))
    step = 10.0 ** np.maximum(digits - 1, 0)
    return np.asarray(np.round(response_ms / step) * step, dtype=np.int64)

"""Throughput from raw rows."""

import json
from pathlib import Path

import numpy as np
import pytest

from harness.record.row import ROW
from tests.bench import recorded
from tests.bench.row import NotMeasured

SECOND = 10**9


def write(folder: Path, worker: int, finished_s: list[float], outcomes: list[int] | None = None) -> None:
    rows = np.zeros(len(finished_s), dtype=ROW)
    rows["finished"] = np.round(np.array(finished_s) * SECOND).astype(np.int64)
    rows["outcome"] = outcomes or 0
    (folder / f"requests-{worker}.rows").write_bytes(rows.tobytes())
    names = [(0, "ok"), (1, "40P01")]
    lines = [json.dumps({"kind": "outcome", "code": code, "name": name}) + "\n" for code, name in names]
    (folder / f"requests-{worker}.jsonl").write_text("".join(lines))


def test_all_workers_count_and_only_the_middle(tmp_path: Path) -> None:
    write(tmp_path, 0, [0.5, 1.0, 2.0, 4.75])
    write(tmp_path, 1, [0.9, 3.0, 4.74])
    rows = recorded.rows(tmp_path)
    assert len(rows) == 7
    assert recorded.finished_per_second(rows, recorded.middle(5)) == 4 / 3.75


def test_achieved_is_a_share_of_what_was_due(tmp_path: Path) -> None:
    write(tmp_path, 0, [1.5, 2.5, 3.5])
    due = np.array([0, 1.4, 2.4, 3.4, 4.4, 4.9]) * SECOND
    assert recorded.achieved(recorded.rows(tmp_path), due.astype(np.int64), recorded.middle(5)) == 3 / 4


def test_a_run_with_failures_or_without_requests_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(NotMeasured, match="no request"):
        recorded.rows(tmp_path)
    write(tmp_path, 0, [1.0, 2.0], [0, 1])
    with pytest.raises(NotMeasured, match="1 of 2 requests failed: 40P01"):
        recorded.rows(tmp_path)

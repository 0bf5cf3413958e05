"""Rows reach the file unchanged, names before the rows that use them; Locust's statistics show the same."""

from pathlib import Path

import numpy as np
import pytest
from locust.stats import RequestStats

from harness.clock import Origin
from harness.errors import RecordingError
from harness.load.locust_side.recorder import KEPT_FAILURES, Codes, Recorder
from harness.load.locust_side.source import Database, Use
from harness.load.locust_side.statistics import feed
from harness.model import Outcome
from harness.record import format as layout
from harness.record.reader import read_codes, read_rows
from harness.record.tail import Tail

ORIGIN = Origin(monotonic_ns=10**15, wall_s=0.0)
USES = {"craft": Use(database=Database.POSTGRES), "view": Use(database=Database.MONGO)}


def fill(recorder: Recorder, count: int = 500) -> list[tuple[int, ...]]:
    """Requests of two operations and three outcomes, one in seven without a connection."""
    rng = np.random.default_rng(3)
    rows = []
    for number in range(count):
        outcome = recorder.outcomes[["ok", "ok", "ok", "40P01", "pool_timeout"][number % 5]]
        operation = recorder.operations[["craft", "view"][number % 2]]
        intended = ORIGIN.monotonic_ns + number * 10**6 - 5 * 10**6  # some before the origin
        started = intended + int(rng.integers(0, 10**6))
        acquired = 0 if number % 7 == 0 else started + int(rng.integers(0, 10**6))
        finished = started + int(rng.integers(10**6, 5 * 10**9))
        recorder.add(operation, outcome, number, 1 + number % 3, intended, started, acquired, finished)
        rows.append((intended, started, acquired, finished, number, operation, outcome, 1 + number % 3))
    recorder.hand_over()
    return rows


def test_rows_are_written_as_they_were(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, worker=3)
    recorder.origin = ORIGIN
    expected = fill(recorder)
    recorder.flush()
    recorder.close()
    found = read_rows(tmp_path / "requests-3.rows")
    for row, (intended, started, acquired, finished, arrival, operation, outcome, attempt) in zip(
        found, expected, strict=True
    ):
        assert row["intended"] == intended - ORIGIN.monotonic_ns
        assert row["started"] == started - ORIGIN.monotonic_ns
        assert row["acquired"] == (acquired - ORIGIN.monotonic_ns if acquired else layout.NOT_REACHED)
        assert row["finished"] == finished - ORIGIN.monotonic_ns
        assert (row["arrival"], row["operation"], row["outcome"], row["attempt"]) == (
            arrival,
            operation,
            outcome,
            attempt,
        )
    assert read_codes(tmp_path / "requests-3.jsonl") == (
        {0: "craft", 1: "view"},
        {0: "ok", 1: "40P01", 2: "pool_timeout"},
    )
    assert len(Tail(tmp_path).poll()) == len(expected)


def test_only_the_first_failures_of_a_kind_are_kept_but_every_deadlock(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, worker=0)
    for number in range(KEPT_FAILURES * 2):
        recorder.failed("craft", "57014", number, 1, 10**9, ValueError("slow"))
        recorder.failed("craft", "40P01", number, 1, 10**9, ValueError("deadlock detected"))
    recorder.flush()
    recorder.close()
    lines = (tmp_path / "failures-0.jsonl").read_text().splitlines()
    assert sum('"57014"' in line for line in lines) == KEPT_FAILURES
    assert sum('"40P01"' in line for line in lines) == KEPT_FAILURES * 2


def test_no_room_is_a_recording_error() -> None:
    with pytest.raises(RecordingError, match="cannot write"):
        Recorder(Path("/proc"), worker=0)


def test_names_without_end_are_gathered_under_one() -> None:
    said: list[dict[str, object]] = []
    codes = Codes("outcome", said.append)
    numbers = [codes[f"outcome {number}"] for number in range(1000)]
    assert max(numbers) == layout.MAX_CODES - 1
    assert codes.name(layout.MAX_CODES - 1) == "other outcome"
    assert len(said) == layout.MAX_CODES


def test_locusts_statistics_are_what_locust_itself_would_count() -> None:
    recorder = Recorder(None, worker=0)
    recorder.origin = ORIGIN
    fill(recorder)
    rows = recorder.flush()
    ours, theirs = RequestStats(), RequestStats()
    feed(ours, rows, recorder, USES)
    for row in rows:
        name = recorder.operations.name(row["operation"])
        method = USES[name].database.value
        theirs.log_request(method, name, (row["finished"] - row["intended"]) / 1e6, 0)
        if row["outcome"] != recorder.ok:
            theirs.log_error(method, name, recorder.outcomes.name(row["outcome"]))
    for name in ("craft", "view"):
        method = USES[name].database.value
        mine, reference = ours.get(name, method), theirs.get(name, method)
        assert mine.num_requests == reference.num_requests
        assert mine.num_failures == reference.num_failures
        assert dict(mine.response_times) == dict(reference.response_times)
        assert mine.total_response_time == pytest.approx(reference.total_response_time)
        assert (mine.min_response_time, mine.max_response_time) == (
            reference.min_response_time,
            reference.max_response_time,
        )
    assert ours.total.num_requests == theirs.total.num_requests == len(rows)
    assert {key: error.occurrences for key, error in ours.errors.items()} == {
        key: error.occurrences for key, error in theirs.errors.items()
    }


def test_what_the_end_cut_off_has_not_failed_for_locust() -> None:
    recorder = Recorder(None, worker=0)
    recorder.origin = ORIGIN
    fill(recorder)
    stats = RequestStats()
    feed(stats, recorder.flush(), recorder, USES)
    requests, failures = stats.total.num_requests, stats.total.num_failures
    cut_off = recorder.outcomes[Outcome.CUT_OFF]
    recorder.add(recorder.operations["craft"], cut_off, 9, 1, 10**9, 10**9, 10**9, 2 * 10**9)
    recorder.hand_over()
    rows = recorder.flush()
    feed(stats, rows, recorder, USES)
    assert len(rows) == 1, "recorded, though not counted"
    assert (stats.total.num_requests, stats.total.num_failures) == (requests, failures)
    assert not [error for error in stats.errors.values() if error.error == Outcome.CUT_OFF]

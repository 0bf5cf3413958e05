"""What is read out of the peers' own words."""

from pathlib import Path
from typing import Any

import pytest

from tests.bench.peers.contrib import steady_per_second
from tests.bench.peers.pgbench import read_log
from tests.bench.row import NotMeasured


def test_a_log_with_a_rate_tells_how_late_each_transaction_began(tmp_path: Path) -> None:
    one, two = tmp_path / "pgbench_log.1", tmp_path / "pgbench_log.1.1"
    # client, transaction, latency, script, end s, end µs, lag µs
    one.write_text("0 0 412 0 1763690400 500000 150\n1 0 300 0 1763690402 250000 0\n")
    two.write_text("2 0 512 0 1763690401 0 7000\n")
    found = read_log([one, two])
    assert (found.ended_s - 1763690400).tolist() == [0.5, 1.0, 2.25]
    assert found.lag_s.tolist() == [0.00015, 0.007, 0.0]


@pytest.mark.parametrize("text", ["", "0 0 412 0 1763690400 500000\n", "0 0 failed 0 1763690400 500000 skipped\n"])
def test_a_log_without_lags_is_not_read_as_lags_of_zero(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pgbench_log.1"
    path.write_text(text)
    with pytest.raises(NotMeasured):
        read_log([path])


def entry(counts: dict[str, int], failures: int = 0) -> dict[str, Any]:
    return {"num_failures": failures, "num_reqs_per_sec": counts}


def test_first_and_last_second_of_locusts_statistics_do_not_count() -> None:
    # JSON has texts for keys; the second in which nothing happened counts as one.
    assert steady_per_second([entry({"10": 5, "11": 100, "12": 200, "14": 300, "15": 9})]) == (100 + 200 + 0 + 300) / 4


def test_a_run_too_short_or_with_failures_has_no_throughput() -> None:
    with pytest.raises(NotMeasured, match="whole second"):
        steady_per_second([entry({"10": 5, "11": 7})])
    with pytest.raises(NotMeasured, match="whole second"):
        steady_per_second([])
    with pytest.raises(NotMeasured, match="3 requests"):
        steady_per_second([entry({"10": 5, "11": 7, "12": 8}, failures=3)])

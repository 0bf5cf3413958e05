"""Percentiles are of the nearest rank, to the value."""

import numpy as np
import pytest

from harness.evaluation.statistic import least_count, percentile, summary


@pytest.mark.parametrize(
    ("statistic", "share"), [("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)]
)
def test_percentile_is_numpys_inverted_cdf(statistic: str, share: float) -> None:
    # np.percentile divides by 100 first, and 99.9 / 100 is a little more than 0.999, one rank too high at n = 1000.
    rng = np.random.default_rng(5)
    for count in [*range(least_count(statistic), 400), 1000, 1001, 4999, 10_000]:
        values = rng.integers(0, 10**10, max(count, least_count(statistic)))
        assert percentile(values, statistic) == np.quantile(values, share, method="inverted_cdf"), count


def test_at_least_that_share_is_at_or_below_it() -> None:
    # 0.07 · 100 is 7.000000000000001 in floating point, which would be one rank too high.
    assert percentile(np.arange(1, 101), "p7") == 7.0


@pytest.mark.parametrize(
    ("statistic", "needed"), [("p50", 2), ("p90", 10), ("p99", 100), ("p99.9", 1000), ("p99.99", 10_000)]
)
def test_too_few_values_are_no_percentile(statistic: str, needed: int) -> None:
    assert least_count(statistic) == needed
    assert percentile(np.ones(needed), statistic) == 1.0
    assert percentile(np.ones(needed - 1), statistic) is None


def test_summaries() -> None:
    values = np.array([3.0, 1.0, 2.0])
    assert [summary(values, name) for name in ("min", "max", "mean", "last", "p50")] == [1.0, 3.0, 2.0, 2.0, 2.0]
    assert summary(np.empty(0), "max") is None

"""What a schedule alone says of the response times around a stop."""

import numpy as np
import pytest

from tests.bench.prediction import response_ns

SECOND = 10**9


def test_only_who_was_due_while_it_stood_still_waits() -> None:
    due = np.array([1, 4, 5, 6, 9, 10, 11], dtype=np.int64) * SECOND
    assert response_ns(due, 5 * SECOND, 10 * SECOND).tolist() == [0, 0, 5 * SECOND, 4 * SECOND, SECOND, 0, 0]


def test_percentiles_of_an_even_schedule_are_those_of_the_triangle() -> None:
    # 500 a second for 20 s, stopped for 5 s: waits fall in steps of 2 ms from 5 s to 2 ms, all others are 0.
    due = np.arange(10_000, dtype=np.int64) * (SECOND // 500)
    waits = response_ns(due, 8 * SECOND, 13 * SECOND) / SECOND
    assert waits.max() == 5.0
    # One in a hundred of 10,000 is 100: the 101st of the longest, 100 steps below 5 s.
    assert np.quantile(waits, 0.99, method="inverted_cdf") == pytest.approx(5.0 - 100 * 0.002)
    assert (waits > 0).sum() == 2500


def test_nobody_waits_where_it_did_not_stop() -> None:
    assert not response_ns(np.arange(100, dtype=np.int64), 50, 50).any()

"""Criteria of requests, against rows whose answer is known beforehand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.criteria import parse
from harness.evaluation import evaluate
from harness.model import Finding
from harness.record.reader import Run
from tests.unit.runs import Request, RunBuilder, steady


def judged(run: Run, text: str) -> Finding:
    phases = [phase["name"] for phase in run.meta["phases"]]
    criterion = parse(text, operations=run.meta["operations"], phases=phases, where="w", field="f")
    return evaluate(run, criterion, "a name")


def ladder(count: int = 200) -> list[Request]:
    """Requests of 1 ms, 2 ms, 3 ms, …"""
    return [Request(intended_s=at * 0.1, response_s=(at + 1) / 1000) for at in range(count)]


def test_percentile_of_response_time_with_its_evidence(tmp_path: Path) -> None:
    got = judged(RunBuilder(folder=tmp_path, requests=ladder()).write(), "p99(craft) > 150ms")
    assert (got.name, got.criterion, got.unit) == ("a name", "p99(craft) > 150ms", "s")
    assert (got.held, got.value, got.worst, got.count) == (True, 0.198, 0.2, 50)
    assert got.first_s == pytest.approx(15.0 + 0.151)  # the request of 151 ms, when it ended


@pytest.mark.parametrize(
    ("text", "held", "value"),
    [
        ("p99(craft) < 198ms", False, 0.198),
        ("p99(craft) <= 198ms", True, 0.198),
        ("p99(craft) == 198ms", True, 0.198),
        ("p99(craft) != 198ms", False, 0.198),
        ("min(craft) <= 1ms", True, 0.001),
        ("max(all) >= 200ms", True, 0.2),
        ("mean(craft) < 100ms", False, 0.1005),
        ("p50(craft) < 1s", True, 0.1),
        ("p50(craft) < 1s during calm", True, 0.05),
        ("p50(craft) < 1s during burst", True, 0.15),
    ],
)
def test_statistics_and_comparisons(tmp_path: Path, text: str, held: bool, value: float) -> None:
    got = judged(RunBuilder(folder=tmp_path, requests=ladder()).write(), text)
    assert (got.held, got.value) == (held, value)


@pytest.mark.parametrize("text", ["p99(craft) < 1s", "p99(craft) >= 2s"])
def test_worst_is_the_longest_for_threshold_and_symptom_alike(tmp_path: Path, text: str) -> None:
    assert judged(RunBuilder(folder=tmp_path, requests=ladder()).write(), text).worst == 0.2


def test_exact_from_random_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    times = rng.lognormal(-4, 1, 3000)
    requests = [Request(intended_s=at / 100, response_s=float(time)) for at, time in enumerate(times)]
    got = judged(RunBuilder(folder=tmp_path, requests=requests).write(), "p99.9(craft) < 1s")
    assert got.value == np.quantile(np.round(times * 1e9), 0.999, method="inverted_cdf") / 1e9


def test_parts_of_a_requests_time(tmp_path: Path) -> None:
    requests = [replace(one, lag_s=0.002, pool_wait_s=0.003, response_s=0.020) for one in steady()]
    run = RunBuilder(folder=tmp_path, requests=requests).write()
    for part, value in {"response": 0.020, "lag": 0.002, "pool_wait": 0.003, "service": 0.015}.items():
        assert judged(run, f"p50(craft.{part}) < 1s").value == pytest.approx(value), part


def test_too_few_requests_are_no_percentile(tmp_path: Path) -> None:
    got = judged(RunBuilder(folder=tmp_path, requests=ladder(99)).write(), "p99(craft) < 1s")
    assert (got.held, got.value) == (None, None)
    assert got.why_unknown == "too few requests: 99, p99 needs ≥ 100"


def test_no_request_is_unknown_and_not_fine(tmp_path: Path) -> None:
    run = RunBuilder(folder=tmp_path, requests=steady()).write()
    for text in (
        "p50(view_recipe) < 1s",
        "errors(view_recipe) < 1%",
        "count(view_recipe) == 0",
        "rate(view_recipe) < 1/s",
    ):
        got = judged(run, text)
        assert (got.held, got.value) == (None, None), text
        assert got.why_unknown == "no request of view_recipe"


def test_failed_requests_count_with_their_time(tmp_path: Path) -> None:
    requests = [replace(one, outcome="57014", response_s=5.0) for one in steady()]
    assert judged(RunBuilder(folder=tmp_path, requests=requests).write(), "p99(craft) >= 5s").held is True


def cut_off(share: float) -> list[Request]:
    requests = steady()
    cut = round(len(requests) * share)
    return [replace(one, outcome="cut_off", response_s=0.1) for one in requests[:cut]] + requests[cut:]


def test_what_depends_on_requests_that_were_cut_off_is_unknown(tmp_path: Path) -> None:
    run = RunBuilder(folder=tmp_path, requests=cut_off(0.05)).write()
    for text in ("p99(craft) < 2s", "p99(craft) >= 2s"):
        got = judged(run, text)
        assert (got.held, got.value) == (None, 0.1), text
        assert "30 of 600 requests were cut off" in str(got.why_unknown)


def test_what_does_not_depend_on_requests_that_were_cut_off_is_known(tmp_path: Path) -> None:
    run = RunBuilder(folder=tmp_path, requests=cut_off(0.05)).write()
    assert judged(run, "p50(craft) < 2s").held is True
    assert judged(run, "p99(craft) >= 50ms").held is True
    assert judged(run, "p99(craft) < 50ms").held is False


def test_one_that_never_got_a_connection_does_not_flatter_the_wait(tmp_path: Path) -> None:
    requests = [replace(one, outcome="pool_timeout", pool_wait_s=None, response_s=5.0) for one in steady()[:300]]
    run = RunBuilder(folder=tmp_path, requests=[*requests, *steady()[300:]]).write()
    assert judged(run, "p99(craft.pool_wait) >= 5s").held is True
    assert judged(run, "p99(craft.pool_wait) < 100ms").held is False
    assert judged(run, "p99(craft.pool_wait) < 6s").held is None
    assert judged(run, "max(craft.service) < 10ms").held is True  # those without a connection had no service


def test_errors_are_a_share_with_the_first_and_their_number(tmp_path: Path) -> None:
    requests = steady(seconds=30, per_s=10)
    failed = {40: "40P01", 41: "40P01", 42: "pool_timeout"}
    requests = [replace(one, outcome=failed.get(at, "ok")) for at, one in enumerate(requests)]
    run = RunBuilder(folder=tmp_path, requests=requests).write()
    every, deadlocks = judged(run, "errors(craft) >= 1%"), judged(run, "errors(craft, 40P01) < 1%")
    assert (every.held, every.value, every.count) == (True, 0.01, 3)
    assert every.first_s == pytest.approx(4.010)
    assert (deadlocks.held, deadlocks.value, deadlocks.count) == (True, 2 / 300, 2)
    assert judged(run, "count(craft, 40P01) == 2").held is True
    assert judged(run, "count(craft, 53300) == 0").held is True
    assert judged(run, "count(craft) == 300").held is True
    assert judged(run, "errors(craft) == 0 during burst").held is True


def test_rate_is_per_second_of_traffic_and_of_what_ended_ok(tmp_path: Path) -> None:
    requests = steady(seconds=30, per_s=10)
    requests = [replace(one, outcome="ok" if at % 2 else "57014") for at, one in enumerate(requests)]
    run = RunBuilder(folder=tmp_path, requests=requests).write()
    assert judged(run, "rate(craft) >= 5/s").value == 5.0
    assert judged(run, "rate(craft) >= 5/s during calm").value == 5.0


def test_rate_of_a_run_that_was_broken_off_is_over_what_there_was(tmp_path: Path) -> None:
    finished = {"status": "interrupted", "at_s": 15.0, "why": "Ctrl-C"}
    run = RunBuilder(folder=tmp_path, requests=steady(seconds=15, per_s=10), finished=finished).write()
    assert judged(run, "rate(craft) >= 5/s").value == 10.0

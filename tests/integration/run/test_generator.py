"""What the generator cannot do makes a run invalid; what the server cannot do does not. And nobody's wait is hidden."""

from __future__ import annotations

import json
from time import monotonic_ns, sleep

import numpy as np
import psutil

from harness.criteria import parse
from harness.errors import Exit
from harness.evaluation import evaluate
from harness.evaluation.statistic import percentile
from harness.record.reader import Run
from tests.integration.command import Place, ask, until

INCIDENT = "one-statement"


def test_a_rate_beyond_the_generator_is_no_measurement(place: Place) -> None:
    command = place.begin_run(INCIDENT, "--rate", "300x", "--duration", "2s")
    assert command.end() == Exit.UNKNOWN, command.printed
    folder = place.experiment(INCIDENT)
    variant = json.loads((folder / "verdict.json").read_text())["variants"]["before"]
    assert variant["valid"] is False
    why = " ".join(variant["why_invalid"])
    assert "--workers" in why and "--rate" in why
    assert "arrivals began late" in why or "over_cap" in why
    assert "INVALID" in command.printed and "neither pass nor fail" in command.printed
    # not one of 120,000 is missing all the same
    assert ask(folder / "before", "SELECT count(DISTINCT arrival) FROM requests") == [(120_000,)]
    assert place.left() == []


def test_a_slow_server_is_a_finding(place: Place) -> None:
    command = place.measure(INCIDENT, "--variant", "sleepy", "--duration", "2s")
    assert command.process.returncode == Exit.FINE, command.printed
    folder = place.experiment(INCIDENT)
    variant = json.loads((folder / "verdict.json").read_text())["variants"]["sleepy"]
    assert variant["why_invalid"] == []
    run = folder / "sleepy"
    assert ask(run, "SELECT count(*) FROM requests WHERE attempt = 1") == [(400,)]
    ((waited_s, service_s, lag_s),) = ask(
        run, "SELECT max(pool_wait_s), quantile_cont(service_s, 0.5), quantile_cont(lag_s, 0.99) FROM requests"
    )
    assert isinstance(waited_s, float) and isinstance(service_s, float) and isinstance(lag_s, float)
    # 400 requests of half a second on 20 connections take 10 s: the wait is in the response time, not in the service
    assert waited_s > 2.0
    assert 0.5 <= service_s < 1.0
    assert lag_s < waited_s / 10
    assert {outcome for (outcome,) in ask(run, "SELECT DISTINCT outcome FROM requests")} == {"ok", "cut_off"}
    assert (
        max(value for (value,) in ask(run, "SELECT value FROM samples WHERE metric = 'flashcrowd_pool_waiting'")) > 100
    )  # type: ignore[operator, type-var]


def test_a_server_that_stands_still_is_felt_by_everybody_who_came_meanwhile(place: Place) -> None:
    """Coordinated omission: with arrivals on schedule, the response times of a stop are known beforehand."""
    stop_s = 2.0
    command = place.begin_run(INCIDENT, "--duration", "5s")
    folder = place.await_load(INCIDENT, "before", rows=100)
    origin_ns = json.loads((folder / "run.json").read_text())["origin"]["monotonic_ns"]
    (postmaster,) = place.postmasters()
    tree = [postmaster, *postmaster.children(recursive=True)]
    for process in tree:
        process.suspend()
    began = monotonic_ns() - origin_ns
    try:
        until(lambda: all(process.status() == psutil.STATUS_STOPPED for process in tree), "all of it to stand still")
        sleep(stop_s - (monotonic_ns() - origin_ns - began) / 1e9)
    finally:
        ended = monotonic_ns() - origin_ns
        for process in reversed(tree):
            process.resume()
    command.end()

    run = Run(folder)
    try:
        rows = run.arrays("SELECT intended_ns, finished_ns, outcome FROM requests ORDER BY intended_ns")
        seen_s = {
            statistic: evaluate(
                run,
                parse(f"{statistic}(ask) > 1s", operations=["ask"], phases=["steady"], where="here", field="here"),
                statistic,
            ).value
            for statistic in ("max", "p99", "p90")
        }
    finally:
        run.db.close()
    assert len(rows["intended_ns"]) == 1000 and set(rows["outcome"]) == {"ok"}
    due = np.asarray(rows["intended_ns"])
    # Nobody who came meanwhile was answered before it went on, and all were when the last of them was: a busy machine takes a while.
    caught_up = int(np.asarray(rows["finished_ns"])[(due >= began) & (due < ended)].max())
    at_least = np.where((due >= began) & (due < ended), ended - due, 0)
    at_most = np.where((due >= began) & (due < caught_up), caught_up - due, 0)
    for statistic, seen in seen_s.items():
        lower, upper = _statistic_s(at_least, statistic), _statistic_s(at_most, statistic)
        assert seen is not None
        assert 0.98 * lower - 0.05 <= seen <= 1.02 * upper + 0.05, (statistic, lower, seen, upper)
    assert place.left() == []


def _statistic_s(times_ns: np.ndarray, statistic: str) -> float:
    found = int(times_ns.max()) if statistic == "max" else percentile(times_ns, statistic)
    assert found is not None
    return found / 1e9

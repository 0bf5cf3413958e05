"""Sampled series break where ticks are missing, and count nobody where nobody was seen."""

import numpy as np
import pytest

from harness.model import Verdict
from harness.record.reader import Run
from harness.report.html import sampled
from harness.report.html.axis import Axis, axis_of
from harness.report.html.charts import CHARTS
from harness.report.html.compact import rounded, with_gaps

AXIS = Axis(step_s=1, steps=45)
CHART = {chart.id: chart for chart in CHARTS}


def test_missing_ticks_are_a_break_and_not_a_line(experiment: tuple[Verdict, list[Run]]) -> None:
    run = experiment[1][0]
    states = sampled.connections(run, AXIS)
    # the activity probe got no answer from 12 to 15 s
    inside = (states["active"].at_s > 11.5) & (states["active"].at_s < 14.5)
    assert np.isnan(states["active"].value[inside]).all()
    assert inside.any()
    cpu = sampled.lines(run, CHART["cpu"], AXIS)["postgres"]
    assert not np.isnan(cpu.value).any(), "another probe's gap is not its own"


def test_states_add_up_to_all_connections(experiment: tuple[Verdict, list[Run]]) -> None:
    run = experiment[1][0]
    states = sampled.connections(run, AXIS)
    total = sum(states[name].value for name in ("waiting", "active", "in_transaction", "idle", "other"))
    known = total[~np.isnan(total)]
    assert (known == 60).all()
    assert set(states["limit"].value[~np.isnan(states["limit"].value)]) == {70.0}


def test_a_series_nobody_measured_is_left_out(experiment: tuple[Verdict, list[Run]]) -> None:
    run = experiment[1][0]
    assert set(sampled.lines(run, CHART["pool"], AXIS)) == {"pool.waiting", "generator.in_flight"}
    run_without = sampled.lines(run, CHART["pool"], Axis(step_s=1, steps=0))
    assert run_without == {} or all((p.at_s <= 0.5).all() for p in run_without.values())


@pytest.mark.parametrize(
    ("times", "interval_s", "breaks"),
    [
        ([0, 1, 2, 3], 1.0, 0),
        ([0, 1, 3, 4], 1.0, 1),
        ([0, 1.4, 2.1, 3.3], 1.0, 0),
        ([0, 2, 4, 6], 0.5, 0),
        ([5], 1.0, 0),
        ([], 1.0, 0),
    ],
    ids=["regular", "a missed tick", "late ticks", "a probe slower than asked", "one sample", "none"],
)
def test_breaks(times: list[float], interval_s: float, breaks: int) -> None:
    at_s, value = with_gaps(np.array(times, float), np.ones(len(times)), interval_s)
    assert np.isnan(value).sum() == breaks
    assert (np.diff(at_s) > 0).all()


def test_numbers_are_short_and_not_measured_is_null() -> None:
    assert rounded(np.array([0.123456, np.nan, 98765.4321, -0.00123456, 1e-9, 3.0])) == [
        0.1235,
        None,
        98765,
        -0.001235,
        1e-9,
        3,
    ]


def test_long_runs_share_steps(experiment: tuple[Verdict, list[Run]], monkeypatch: pytest.MonkeyPatch) -> None:
    run = experiment[1][0]
    assert axis_of([run]).step_s == 1
    monkeypatch.setitem(run.meta, "ends_s", 5000.0)
    axis = axis_of([run])
    assert (axis.step_s, axis.steps) == (5, 1000)

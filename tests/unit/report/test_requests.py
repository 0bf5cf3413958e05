"""Series from requests agree with a plain recount of the same rows."""

import math

import numpy as np
import pytest

from harness.model import Verdict
from harness.record.reader import Run
from harness.report.html import requests
from harness.report.html.axis import Axis, axis_of
from harness.report.html.requests import Window


@pytest.fixture(params=[1, 4], ids=["a second a step", "four seconds a step"])
def window(experiment: tuple[Verdict, list[Run]], request: pytest.FixtureRequest) -> Window:
    run = experiment[1][0]
    axis = axis_of([run])
    return Window.of(run, Axis(step_s=request.param, steps=math.ceil(axis.end_s / request.param)))


def nearest_rank(values: np.ndarray, p: float) -> float:
    return float(np.sort(values)[math.ceil(round(p * len(values), 9)) - 1])


@pytest.mark.parametrize("operation", ["", "craft"])
def test_percentiles_are_of_the_nearest_rank_at_the_intended_start(window: Window, operation: str) -> None:
    rows = window.run.arrays("SELECT * FROM requests")
    found = requests.percentiles(window)[operation]
    step = rows["intended_s"] // window.axis.step_s
    checked = 0
    for index in range(window.steps):
        own = (step == index) & ((rows["operation"] == operation) | (operation == ""))
        for name, p in requests.PERCENTILES.items():
            for part in ("response", "service"):
                values = np.ma.compressed(np.ma.masked_invalid(rows[f"{part}_s"][own]))
                shown = found[f"{part}.{name}"][index]
                if len(values):
                    assert shown == pytest.approx(nearest_rank(values, p), abs=1e-9)
                    checked += 1
                else:
                    assert np.isnan(shown), "no requests: no percentile, and not 0"
    assert checked > 50


def test_rates_count_every_request_once(window: Window) -> None:
    found = requests.rates(window)
    step = window.axis.step_s
    for operation, condition in (("", "true"), ("craft", "operation = 'craft'")):
        ok, failed = window.run.query(
            f"SELECT count(*) FILTER (outcome = 'ok'), count(*) FILTER (outcome <> 'ok') FROM requests WHERE {condition}"
        )[0]
        assert found[operation]["ok"].sum() * step == pytest.approx(ok)
        # what is cut off at the very end of the axis ends on its edge
        edge = window.run.query(
            f"SELECT count(*) FROM requests WHERE {condition} AND finished_s >= ?", [window.steps * step]
        )[0][0]
        assert found[operation]["failed"].sum() * step == pytest.approx(failed - edge)
    scheduled = sum(window.run.meta["scheduled"].values())
    assert found[""]["offered"].sum() * step == pytest.approx(scheduled)
    assert found[""]["begun"].sum() * step > scheduled, "retries come on top"


def test_failures_by_kind_add_up(window: Window) -> None:
    kinds = requests.kinds_of_failure([window.run])
    found = requests.errors(window, kinds[:2])
    total = sum(series.sum() for series in found[""].values()) * window.axis.step_s
    assert set(found[""]) == {*kinds[:2], requests.REST}
    assert total == pytest.approx(window.run.query("SELECT count(*) FROM requests WHERE outcome <> 'ok'")[0][0])


def test_heat_map_holds_every_request_in_its_cell(window: Window) -> None:
    rows = requests.heat_rows([window.run])
    heat = requests.heat(window, rows)[""]
    assert heat.count.sum() == window.run.query("SELECT count(*) FROM requests")[0][0]
    assert (np.diff(heat.cell) > 0).all()
    data = window.run.arrays("SELECT intended_s, response_s FROM requests")
    bucket = np.clip(np.floor((np.log10(data["response_s"]) + 4) * 10), 0, rows - 1)
    cells, counts = np.unique((data["intended_s"] // window.axis.step_s) * rows + bucket, return_counts=True)
    assert heat.cell.tolist() == cells.tolist()
    assert heat.count.tolist() == counts.tolist()
    assert 10 ** (rows / 10 - 4) >= data["response_s"].max()

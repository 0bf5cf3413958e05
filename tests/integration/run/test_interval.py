"""``--interval 100ms``: ten samples a second of a quiet run; what a busy machine leaves out is said to be missing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from harness.errors import Exit
from harness.record.points import points
from harness.record.reader import Run
from tests.integration.command import Place, ask

TRAFFIC_S = 3
PER_S = 10
#: How early a timer may fire: a tick that is early by less belongs to the interval that it was meant for.
TIMER_S = 0.002


@pytest.fixture(scope="module")
def quiet(shared_place: Place) -> Path:
    """A run at a rate that keeps nobody busy; its folder."""
    command = shared_place.begin_run(
        "one-statement", "--interval", "100ms", "--duration", f"{TRAFFIC_S}s", "--rate", "0.1x"
    )
    # Whether this machine had the time to measure well meanwhile is another matter.
    assert command.end() in (Exit.FINE, Exit.UNKNOWN), command.printed
    return shared_place.experiment("one-statement") / "before"


def test_every_probe_samples_ten_times_a_second(quiet: Path) -> None:
    assert json.loads((quiet / "run.json").read_text())["interval_s"] == 1 / PER_S
    counted = ask(
        quiet,
        "SELECT probe, floor(at_s)::INT, count(*) FROM ticks WHERE at_s >= 0 AND at_s < ? GROUP BY ALL",
        [TRAFFIC_S],
    )
    ticks = {(probe, second): count for probe, second, count in counted}
    for probe in ("activity", "blocking", "database", "usage", "deadlocks", "harness"):
        for second in range(TRAFFIC_S):
            # A tick that was late by a moment may fall into the next second, none is taken twice.
            assert PER_S - 2 <= ticks[probe, second] <= PER_S + 1, (probe, second, ticks)  # type: ignore[operator]


def test_no_tick_was_missed(quiet: Path) -> None:
    assert ask(quiet, "SELECT text FROM events WHERE kind = 'gap'") == []
    assert ask(quiet, "SELECT text FROM events WHERE kind = 'warning'") == []


def test_ticks_keep_to_the_grid_of_the_interval(quiet: Path) -> None:
    """Each tick is in an interval of its own: none is missing between two, and none drifts."""
    ticks = ask(quiet, "SELECT at_s FROM ticks WHERE probe = 'activity' ORDER BY 1")
    numbers = [math.floor((float(str(at_s)) + TIMER_S) * PER_S) for (at_s,) in ticks]
    assert [number for number in numbers if 0 <= number < TRAFFIC_S * PER_S] == list(range(TRAFFIC_S * PER_S))


def test_series_have_the_same_resolution(quiet: Path) -> None:
    run = Run(quiet)
    try:
        for name in ("postgres.connections", "postgres.cpu", "generator.loop_lag", "pool.waiting"):
            series = points(run, name)
            inside = series.at_s[(series.at_s >= 0) & (series.at_s < TRAFFIC_S)]
            assert len(inside) >= (PER_S - 2) * TRAFFIC_S, name
            assert float(np.median(np.diff(inside))) == pytest.approx(1 / PER_S, rel=0.2), name
    finally:
        run.db.close()


def test_the_report_says_how_often(quiet: Path) -> None:
    assert "Taken every 0.1 s" in (quiet.parent / "report.html").read_text()

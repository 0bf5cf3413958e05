"""``--interval 100ms``: ten samples a second of a quiet run; what a busy machine leaves out is said to be missing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from harness.errors import Exit
from harness.probes.sampler import LATE
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
        "one-statement",
        "--interval",
        "100ms",
        "--duration",
        f"{TRAFFIC_S}s",
        "--rate",
        "0.1x",
        PYTHONPROFILEIMPORTTIME="1",  # it prints what it imports
    )
    # Whether this machine had the time to measure well meanwhile is another matter.
    assert command.end() in (Exit.FINE, Exit.UNKNOWN), command.printed
    return shared_place.experiment("one-statement") / "before"


def taken(quiet: Path, probe: str) -> list[int]:
    """The numbers of a probe's ticks, counted from the begin of the traffic, up to its end."""
    ticks = ask(quiet, "SELECT at_s FROM ticks WHERE probe = ? ORDER BY 1", [probe])
    numbers = [math.floor((float(str(at_s)) + TIMER_S) * PER_S) for (at_s,) in ticks]
    return [number for number in numbers if 0 <= number < TRAFFIC_S * PER_S]


@pytest.mark.parametrize("probe", ["activity", "blocking", "database", "usage", "deadlocks", "harness"])
def test_every_probe_samples_ten_times_a_second(quiet: Path, probe: str) -> None:
    """Each tick is in an interval of its own: none is missing between two without being told so, and none drifts."""
    assert json.loads((quiet / "run.json").read_text())["interval_s"] == 1 / PER_S
    numbers = taken(quiet, probe)
    assert numbers == sorted(set(numbers)) != []
    told = ask(
        quiet,
        "SELECT (fields ->> 'from_s')::DOUBLE, at_s, fields ->> 'reason' FROM events"
        " WHERE kind = 'gap' AND fields ->> 'edge' = 'end' AND fields ->> 'probe' = ?",
        [probe],
    )
    gaps = [(float(str(from_s)), float(str(to_s))) for from_s, to_s, _ in told]
    untold = [
        number
        for number in sorted({*range(TRAFFIC_S * PER_S)} - {*numbers})
        if not any(from_s - TIMER_S <= number / PER_S <= to_s for from_s, to_s in gaps)
    ]
    assert untold == []
    # Only a machine that is busy itself may be the reason.
    assert all(reason == LATE or str(reason).startswith("no answer within") for *_, reason in told)


def test_nobody_is_warned_of_anything(quiet: Path) -> None:
    assert ask(quiet, "SELECT text FROM events WHERE kind = 'warning'") == []


def test_series_have_the_same_resolution(quiet: Path) -> None:
    run = Run(quiet)
    try:
        for name in ("postgres.connections", "postgres.cpu", "generator.loop_lag", "pool.waiting"):
            series = points(run, name)
            inside = series.at_s[(series.at_s >= 0) & (series.at_s < TRAFFIC_S)]
            assert len(inside) > TRAFFIC_S, f"{name}: more often than once a second, also on a busy machine"
            assert float(np.min(np.diff(inside))) < 1.5 / PER_S, name
    finally:
        run.db.close()


def test_the_report_says_how_often(quiet: Path) -> None:
    assert "Taken every 0.1 s" in (quiet.parent / "report.html").read_text()


def test_a_run_with_child_processes_imports_nothing_that_serves_others(shared_place: Place, quiet: Path) -> None:
    (command,) = shared_place.begun
    lines = [line for line in command.printed.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert {"harness.run", "harness.stack.embedded.stack", "harness.report.html.page"} <= imported
    others = {"docker", "testcontainers", "requests", "prometheus_client", "locust", "harness.stack.external.stack"}
    assert not others & imported

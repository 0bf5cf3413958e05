"""What a run's events say of its timeline, for whoever judges and shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.model import Event, Sample
from harness.record.actions import away, deeds
from harness.record.reader import Run
from harness.report.html import actions as shown
from harness.report.html.axis import marks
from harness.validity import why_invalid
from harness.verdict import judge
from tests.unit.runs import RunBuilder, steady, worker_event


def declared(step: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"step": step, "kind": kind, "what": f"{kind} postgres", "at_s": 5.0, "when": None, "for_s": None, **fields}


def action(step: int, edge: str, at_s: float, *, kind: str = "pause", text: str = "", **fields: Any) -> Event:
    return Event(
        at_s=at_s,
        kind="action",
        text=text or f"{kind} postgres: {edge}",
        fields={"step": step, "action": kind, "server": "postgres", "edge": edge, **fields},
    )


def run(folder: Path, timeline: list[dict[str, Any]], *events: Event, **builder: Any) -> Run:
    own = [worker_event(0, "ready"), worker_event(0, "done", at_s=40.0, scheduled=600, begun=600, cap_reached=False)]
    made = RunBuilder(folder=folder, requests=steady(), events=[*own, *events], meta={"timeline": timeline}, **builder)
    made.quiet_probes()
    return made.write()


def test_a_step_as_it_went(tmp_path: Path) -> None:
    made = run(
        tmp_path,
        [declared(1, "add_replica", at_s=None, when="deadlocks > 3"), declared(2, "pause", for_s=2.0)],
        action(1, "begin", 7.0, kind="add_replica", late_s=0.75),
        action(1, "end", 9.5, kind="add_replica", took_s=2.5, stages=[["base backup", 1.5], ["start", 0.5]]),
        action(2, "begin", 5.0),
        action(2, "end", 5.1, took_s=0.1, note="it hangs"),
        action(2, "undone", 7.1, took_s=0.1, at_end=False),
    )
    first, second = deeds(made)
    assert (first.planned, first.begin_s, first.late_s, first.took_s) == ("when deadlocks > 3", 7.0, 0.75, 2.5)
    assert first.stages == (("base backup", 1.5), ("start", 0.5))
    assert first.undone_s is None
    assert (second.planned, second.undone_s, second.undone_at_end) == ("at 5 s, for 2 s", 7.1, False)
    rows = shown.rows(made)
    assert rows[0].began == "7.0 s, 0.8 s late"
    assert rows[0].remark == "base backup 1.50 s, start 500 ms"
    assert (rows[1].undone, rows[1].remark) == ("7.1 s", "it hangs")
    # what took long has a line at its begin and at its end, what was done in a moment has one
    assert [(mark.at_s, mark.kind) for mark in marks(made)] == [
        (5.0, "action"),
        (7.0, "action"),
        (7.1, "action"),
        (9.5, "action"),
    ]


def test_a_run_without_a_timeline(tmp_path: Path) -> None:
    made = run(tmp_path, [])
    assert deeds(made) == [] and away(made) == [] and shown.rows(made) == []


def test_a_failed_action_makes_the_run_invalid(tmp_path: Path) -> None:
    made = run(
        tmp_path,
        [declared(1, "pause")],
        action(1, "begin", 5.0),
        action(1, "failed", 5.5, took_s=0.5, why="it does not stop"),
    )
    (reason,) = why_invalid(made)
    assert reason.startswith("step 1 of the timeline, pause postgres, failed (it does not stop)")
    assert "failed: it does not stop" in shown.rows(made)[0].remark


def probed(seconds: set[int]) -> dict[str, Any]:
    """A probe that ticks at these seconds only."""
    return {
        "samples": [
            ("activity", float(second), [Sample(at_s=float(second), metric="pg_stat_activity_count", value=1.0)])
            for second in seconds
        ]
    }


def test_what_is_away_on_purpose_need_not_be_measured(tmp_path: Path) -> None:
    steps = [declared(1, "kill", for_s=12.0)]
    events = [
        action(1, "begin", 10.0, kind="kill"),
        action(1, "end", 10.1, kind="kill", took_s=0.1),
        action(1, "undone", 22.0, kind="kill", took_s=1.0, at_end=False),
    ]
    seen = set(range(11)) | set(range(23, 31))
    assert why_invalid(run(tmp_path / "declared", steps, *events, **probed(seen))) == []
    (reason,) = why_invalid(run(tmp_path / "not", [], **probed(seen)))
    assert "probe activity measured nothing during" in reason
    # what is missing besides is not excused
    (reason,) = why_invalid(run(tmp_path / "more", steps, *events, **probed(set(range(11)))))
    assert "probe activity measured nothing during" in reason


def test_a_server_that_was_never_put_back_is_away_until_the_end(tmp_path: Path) -> None:
    made = run(
        tmp_path,
        [declared(1, "stop"), declared(2, "flush_cache"), declared(3, "pause", for_s=3.0)],
        action(1, "begin", 12.0, kind="stop"),
        action(2, "begin", 2.0, kind="flush_cache"),
        action(2, "end", 3.5, kind="flush_cache", took_s=1.5),
        action(3, "begin", 3.0),
        action(3, "undone", 6.0, at_end=False),
    )
    assert away(made) == [(2.0, 6.0), (12.0, 30.0)]


@pytest.mark.parametrize(("needed", "held"), [(True, None), (False, True)])
def test_a_step_that_never_took_place_leaves_all_unknown_unless_it_was_not_needed(
    tmp_path: Path, needed: bool, held: bool | None
) -> None:
    made = run(
        tmp_path,
        [declared(1, "pause", at_s=None, when="deadlocks > 3", needed=needed)],
        action(1, "never", 41.0, why="deadlocks > 3 never came true"),
        symptoms=[{"name": "quick", "criterion": "p99(craft) < 1s"}],
    )
    verdict = judge(made)
    (finding,) = verdict.symptoms
    assert finding.held is held
    assert finding.value == pytest.approx(0.010)
    if needed:
        assert finding.why_unknown == (
            "step 1 of the timeline, pause postgres, did not take place: deadlocks > 3 never came true"
        )
    assert why_invalid(made) == []


def test_of_a_run_that_was_cut_short_that_is_the_reason(tmp_path: Path) -> None:
    made = run(
        tmp_path,
        [declared(1, "pause")],
        action(1, "never", 3.0, why="the run ended before"),
        symptoms=[{"name": "quick", "criterion": "p99(craft) < 1s"}],
        finished={"status": "interrupted", "at_s": 3.0, "why": "interrupted"},
    )
    verdict = judge(made)
    assert "interrupted" in verdict.why_invalid[0]
    assert verdict.symptoms[0].held is True, "what was seen is shown all the same"

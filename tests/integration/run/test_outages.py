"""Runs in the middle of which servers go and come back: they go on to their end, with everything told, and leave nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.integration.command import Command, Place, ask


def steps(run: Path) -> dict[tuple[int, str], dict[str, Any]]:
    """Events of actions by step and edge."""
    lines = (json.loads(line) for line in (run / "events.jsonl").read_text().splitlines())
    return {(one["fields"]["step"], one["fields"]["edge"]): one for one in lines if one["kind"] == "action"}


def carried_out(place: Place, incident: str) -> tuple[Command, Path]:
    """The run of an incident's only variant."""
    command = place.begin_run(incident, "--stack", "embedded")
    command.end()
    run = place.experiment(incident) / "before"
    assert json.loads((run / "finished.json").read_text())["status"] == "completed", command.printed
    assert "Traceback" not in command.printed
    return command, run


def outcomes(run: Path, operation: str, begin_s: float, end_s: float) -> dict[str, int]:
    """How many requests that were to begin within a time ended how."""
    rows = ask(
        run,
        "SELECT outcome, count(*) FROM requests WHERE operation = ? AND intended_s BETWEEN ? AND ? GROUP BY 1",
        [operation, begin_s, end_s],
    )
    return {str(outcome): int(str(count)) for outcome, count in rows}


def test_a_replica_takes_the_reads_while_the_writer_is_gone(place: Place) -> None:
    _, run = carried_out(place, "outage")
    told = steps(run)
    assert (1, "undone") in told, "it hung and went on"
    gone_s, back_s = told[2, "end"]["at_s"], told[2, "undone"]["at_s"]
    ((written, read),) = ask(
        run,
        "SELECT count(*) FILTER (WHERE operation = 'note'), count(*) FILTER (WHERE operation = 'look') FROM requests"
        " WHERE outcome = 'ok' AND finished_s BETWEEN ? AND ?",
        [gone_s, back_s - told[2, "undone"]["fields"]["took_s"]],
    )
    assert written == 0, "nobody writes while the writer is gone"
    assert isinstance(read, int) and read > 0, "the replica was there for the reads"
    assert "ok" in outcomes(run, "note", 0, gone_s - 1), "before that it answered"
    assert "was not properly shut down" in (run / "logs" / "postgres.log").read_text()
    verdict = json.loads((run.parent / "verdict.json").read_text())["variants"]["before"]
    assert [one["held"] for one in verdict["symptoms"]] == [True]
    assert [one["violations"] for one in verdict["invariants"]] == [0] * 5, "the writer came back to be asked"
    assert "kill postgres" in (run.parent / "report.html").read_text()
    assert place.left() == []


def test_another_member_takes_over_from_a_primary_that_dies(place: Place) -> None:
    command, run = carried_out(place, "failover")
    told = steps(run)
    killed = told[1, "end"]["fields"]["server"]
    assert killed == "mongo-1", "the first member is primary when a set comes up"
    others = [(run / "logs" / f"mongo-{number}.log").read_text() for number in (2, 3)]
    assert any("Transition to primary complete" in log for log in others), "one of them was elected"
    # a save that came while nobody was primary waited, and none is lost
    gone_s = told[1, "begin"]["at_s"]
    ((slowest,),) = ask(
        run, "SELECT max(response_s) FROM requests WHERE intended_s BETWEEN ? AND ? + 1", [gone_s - 0.1, gone_s]
    )
    assert isinstance(slowest, float) and slowest > 0.4
    ((saved,),) = ask(
        run,
        "SELECT count(*) FROM requests WHERE outcome = 'ok' AND intended_s > ? + 0.1 AND finished_s < ?",
        [gone_s, told[1, "undone"]["at_s"]],
    )
    assert isinstance(saved, int) and saved > 0, "before the one that died came back"
    verdict = json.loads((run.parent / "verdict.json").read_text())["variants"]["before"]
    assert [one["held"] for one in verdict["symptoms"]] == [True, True], command.printed
    assert [one["violations"] for one in verdict["invariants"]] == [0] * 5
    assert (run.parent / "report.html").exists()
    assert place.left() == []

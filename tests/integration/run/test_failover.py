"""A replica set loses its primary during a run: requests fail under their own names, the client goes on with the next primary,
and the run has its report."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.errors import Exit
from tests.integration.command import Place, ask

INCIDENT = "next-primary"


@pytest.mark.server
def test_the_load_goes_on_with_the_next_primary(place: Place) -> None:
    command = place.begin_run(INCIDENT)
    # Whether this machine had the time to measure well meanwhile is another matter.
    assert command.end(120) in (Exit.FINE, Exit.UNKNOWN), command.printed
    folder = place.experiment(INCIDENT)
    run = folder / "before"
    assert json.loads((run / "finished.json").read_text())["status"] == "completed"
    assert (folder / "report.html").is_file()

    events: list[dict[str, Any]] = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    at_s = {event["fields"]["edge"]: event["at_s"] for event in events if event["kind"] == "action"}
    assert list(at_s) == ["begin", "end", "undone"]

    scheduled = json.loads((run / "run.json").read_text())["scheduled"]
    found = ask(run, "SELECT operation, count(*) FROM requests GROUP BY operation")
    assert dict(found) == scheduled, "every arrival is recorded"
    outcomes = {
        str(name): int(str(count)) for name, count in ask(run, "SELECT outcome, count(*) FROM requests GROUP BY 1")
    }
    assert outcomes["connection_lost"] > 0
    assert set(outcomes) <= {"ok", "connection_lost", "connection_refused", "NotWritablePrimary"}
    early = ask(run, "SELECT DISTINCT outcome FROM requests WHERE finished_s < ?", [at_s["begin"]])
    late = ask(run, "SELECT DISTINCT outcome FROM requests WHERE intended_s > 5.5")
    assert early == late == [("ok",)]
    # The others notice after a second at the earliest: that is what their set is told to wait for.
    ((waited, total),) = ask(
        run,
        "SELECT count(*) FILTER (WHERE service_s > 0.1), count(*) FROM requests"
        " WHERE operation = 'save_progress' AND outcome = 'ok' AND intended_s BETWEEN ?::DOUBLE + 0.05 AND ?::DOUBLE + 0.5",
        [at_s["end"], at_s["end"]],
    )
    assert waited == total != 0, "between two primaries a save waits for the election, and that is its service time"
    kept = (run / "failures-0.jsonl").read_text().splitlines()
    assert "connection_lost" in {json.loads(line)["outcome"] for line in kept}

    (variant,) = json.loads((folder / "verdict.json").read_text())["variants"].values()
    assert [symptom["held"] for symptom in variant["symptoms"]] == [True, True]
    assert {one["name"]: one["violations"] for one in variant["invariants"]}["no acknowledged save is missing"] == 0
    assert sum(one["violations"] for one in variant["invariants"]) == 0
    assert place.left() == []

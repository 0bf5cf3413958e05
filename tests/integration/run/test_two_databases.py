"""A run on PostgreSQL and MongoDB at once: two user classes of one file, each operation on its own database."""

from __future__ import annotations

import json

import pytest

from harness.errors import Exit
from tests.integration.command import Place, ask

INCIDENT = "two-databases"


@pytest.mark.server
def test_two_workers_carry_the_operations_of_both_classes(place: Place) -> None:
    command = place.begin_run(INCIDENT, "--workers", "2")
    # Whether this machine had the time to measure well meanwhile is another matter.
    assert command.end(120) in (Exit.FINE, Exit.UNKNOWN), command.printed
    folder = place.experiment(INCIDENT)
    run = folder / "before"
    scheduled = json.loads((run / "run.json").read_text())["scheduled"]
    found = ask(run, "SELECT operation, outcome, count(*), max(acquired_ns - started_ns) FROM requests GROUP BY 1, 2")
    assert {str(operation): count for operation, outcome, count, _ in found if outcome == "ok"} == scheduled
    waited = {str(operation): float(str(wait)) for operation, _, _, wait in found}
    assert waited["craft"] > 2 * waited["save_progress"], "saves do not wait for a connection to PostgreSQL"
    (variant,) = json.loads((folder / "verdict.json").read_text())["variants"].values()
    assert [symptom["held"] for symptom in variant["symptoms"]] == [True]
    checked = {one["name"]: one["violations"] for one in variant["invariants"]}
    assert {"no acknowledged craft is missing", "no acknowledged save is missing"} <= checked.keys()
    assert sum(checked.values()) == 0
    assert place.left() == []

"""A run whose reads go to replicas, one of which joins while it goes on: told by the statements that each server logged."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from harness.errors import Exit
from harness.record.points import points, split
from harness.record.reader import Run, read_events
from tests.integration.command import Command, Place, ask, until

FIRST, SECOND = "postgres-replica-1", "postgres-replica-2"


@pytest.fixture(scope="module")
def command(shared_place: Place) -> Command:
    """The run, ended, with two workers."""
    return shared_place.measure("more-readers", "--stack", "embedded", "--workers", "2")


@pytest.fixture(scope="module")
def run(command: Command, shared_place: Place) -> Path:
    """Its folder."""
    return shared_place.experiment("more-readers") / "before"


def logged(run: Path, server: str) -> dict[str, int]:
    """How many looks and burns a server logged."""
    folder = run / "logs" if server == "postgres" else run / "logs" / server
    records = [json.loads(line) for line in (folder / "postgres.json").read_text().splitlines()]
    said = [str(record.get("message")) for record in records if record.get("application_name") == "flashcrowd-load"]
    counted = {"look": "FROM crafts", "burn": "UPDATE collections"}
    return {
        name: sum(text.startswith(("execute", "statement")) and words in text for text in said)
        for name, words in counted.items()
    }


def test_the_verdict_stands_and_nothing_is_left(command: Command, shared_place: Place) -> None:
    assert command.end() == Exit.FINE, command.printed
    assert shared_place.left(limit_s=5) == []


def test_every_read_was_made_on_a_replica_and_every_write_on_the_primary(run: Path) -> None:
    done = dict(ask(run, "SELECT operation, count(*) FROM requests WHERE outcome = 'ok' GROUP BY 1"))
    assert done.keys() == {"look", "burn"}
    assert ask(run, "SELECT DISTINCT outcome FROM requests") == [("ok",)]
    by_server = {name: logged(run, name) for name in ("postgres", FIRST, SECOND)}
    assert by_server["postgres"] == {"look": 0, "burn": done["burn"]}
    assert by_server[FIRST]["burn"] == by_server[SECOND]["burn"] == 0
    assert by_server[FIRST]["look"] + by_server[SECOND]["look"] == done["look"]


def test_the_one_that_joined_got_its_part(run: Path) -> None:
    [added] = [
        event for event in read_events(run / "events.jsonl") if event.kind == "action" and event.fields["edge"] == "end"
    ]
    assert [name for name, _ in added.fields["stages"]] == ["base backup", "start", "replay", "joined the readers"]
    ((later,),) = ask(
        run, "SELECT count(*) FROM requests WHERE operation = 'look' AND intended_s > ?", [added.at_s + 0.5]
    )
    assert isinstance(later, int) and later > 0
    assert logged(run, SECOND)["look"] > later / 4 - 1


def test_replicas_are_in_the_record(run: Path) -> None:
    told = json.loads((run / "run.json").read_text())["stack"]["postgres"]["replicas"]
    assert [one["name"] for one in told] == [FIRST], "as it began"
    found = Run(run)
    try:
        assert {labels["server"] for labels, _ in split(found, "replica.connections")} == {FIRST, SECOND}
        assert len(points(found, "replica.lag").at_s)
    finally:
        found.db.close()


def test_ctrl_c_while_a_replica_is_added_leaves_nothing(place: Place) -> None:
    command = place.begin_run("more-readers", "--stack", "embedded")
    command.await_text(r"add a replica of postgres\n")
    until(lambda: len(place.instances()) == 3, "the folder of the replica to come")
    command.signal(signal.SIGINT)
    assert command.end() == Exit.INTERRUPTED, command.printed
    assert place.left(limit_s=5) == []

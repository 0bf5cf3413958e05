"""A run on MongoDB alone, from the command line to its verdict, and how one ends whose server dies or that is given up."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from harness.errors import Exit
from harness.record.points import points, points_by
from harness.record.reader import Run
from harness.series import BY_NAME
from harness.series.mongo import SERIES
from tests.integration.command import Command, Place, ask, until

pytestmark = pytest.mark.server

INCIDENT = "saves"
MEMBERS = ("mongo-1", "mongo-2", "mongo-3")


@pytest.fixture(scope="module")
def command(shared_place: Place) -> Command:
    """Both variants, run to the end."""
    return shared_place.measure(INCIDENT, "--seed", "7")


@pytest.fixture(scope="module")
def folder(command: Command, shared_place: Place) -> Path:
    """The experiment's folder."""
    return shared_place.experiment(INCIDENT)


def test_it_ends_as_its_verdict_says(command: Command, folder: Path) -> None:
    verdict = json.loads((folder / "verdict.json").read_text())
    assert (verdict["status"], verdict["reproduced"], verdict["fixed"]) == ("pass", True, True), command.printed
    assert command.process.returncode == Exit.FINE
    for variant in verdict["variants"].values():
        assert (variant["valid"], variant["deadlocks"]) == (True, None)
        assert [one["violations"] for one in variant["invariants"]] == [0] * 5


def test_what_was_acknowledged_was_held_against_the_data(folder: Path) -> None:
    """The check is of this run's requests: some failed, and the data has none of those."""
    [(ok, refused)] = ask(
        folder / "before",
        "SELECT count(*) FILTER (WHERE outcome = 'ok'), count(*) FILTER (WHERE outcome = 'DuplicateKey')"
        " FROM requests WHERE operation = 'save_progress'",
    )
    assert ok > 0
    assert refused > 0


def test_every_series_of_mongodb_was_measured(folder: Path) -> None:
    for variant in ("before", "after"):
        run = Run(folder / variant)
        measured = {series.name for series in SERIES if len(points(run, series.name).at_s)}
        # Without containers there is no quota.
        assert {series.name for series in SERIES} - measured == {"mongo.throttled"}
        for name in ("mongo.cpu", "mongo.ops"):
            assert max(points(run, name).value) > 0
        assert set(points_by(run, BY_NAME["mongo.ops"], "member")) == set(MEMBERS)


def test_the_report_has_the_charts_of_mongodb_and_none_of_postgresql(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    for chart in ("replication", "mongo_ops", "mongo_work", "mongo_tickets", "mongo_state"):
        assert f'id="h-{chart}"' in page
    for chart in ("connections", "blocked", "deadlocks"):
        assert f'id="h-{chart}"' not in page


def test_the_record_has_the_members_and_nothing_of_postgresql(folder: Path) -> None:
    for variant in ("before", "after"):
        run = folder / variant
        there = {path.name for path in run.iterdir()}
        assert not there & {"deadlocks.jsonl", "blocking.jsonl", "statements.parquet", "plans"}
        assert {f"{name}.log" for name in MEMBERS} <= {path.name for path in (run / "logs").iterdir()}
        stack = json.loads((run / "run.json").read_text())["stack"]
        assert "postgres" not in stack
        assert [member["name"] for member in stack["mongo"]["members"]] == list(MEMBERS)
        names = {
            name
            for (name,) in ask(run, "SELECT DISTINCT labels->>'name' FROM samples WHERE metric LIKE 'container_cpu%'")
        }
        assert names == set(MEMBERS)


def test_the_reports_speak_of_what_there_was(command: Command, folder: Path) -> None:
    page, markdown = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    assert '<section id="operations"' in page
    for section in ("deadlocks", "blocking", "statements"):
        assert f'<section id="{section}"' not in page
    for text in (markdown, (folder / "junit.xml").read_text(), command.printed.partition("PASS")[2]):
        assert "save" in text
        assert "deadlock" not in text.lower()


def test_nothing_is_left(command: Command, shared_place: Place) -> None:
    assert shared_place.left() == []


def test_a_member_that_dies_ends_the_run_with_a_report(place: Place) -> None:
    command = place.begin_run(INCIDENT, "--variant", "after")
    place.await_load(INCIDENT, "after")
    victim = place.processes(name="mongod")[0]
    victim.kill()
    assert command.end(120.0) == Exit.UNKNOWN
    folder = place.experiment(INCIDENT)
    finished = json.loads((folder / "after" / "finished.json").read_text())
    assert finished["status"] == "broken"
    assert "SIGKILL" in finished["why"]
    assert "mongo-" in finished["why"]
    assert (folder / "report.html").is_file()
    assert place.left() == []


def test_it_can_be_given_up_while_members_come_up(place: Place) -> None:
    command = place.begin_run(INCIDENT, "--variant", "after")

    until(lambda: place.processes(name="mongod"), "a mongod")
    command.signal(signal.SIGINT)
    assert command.end() == Exit.INTERRUPTED, command.printed
    assert place.left() == []

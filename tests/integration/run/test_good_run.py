"""A run from the command line, to its verdict: what it leaves, and that it leaves nothing else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.errors import Exit
from harness.record.reader import Run
from tests.integration.command import Command, Place, ask, rows_of

INCIDENT = "small-burst"
VARIANTS = ("before", "after")


@pytest.fixture(scope="module")
def command(shared_place: Place) -> Command:
    """Both variants of an incident, run to the end."""
    return shared_place.measure(INCIDENT, "--seed", "7")


@pytest.fixture(scope="module")
def folder(command: Command, shared_place: Place) -> Path:
    """The experiment's folder."""
    return shared_place.experiment(INCIDENT)


def test_it_ends_as_its_verdict_says(command: Command, folder: Path) -> None:
    verdict = json.loads((folder / "verdict.json").read_text())
    assert (verdict["status"], verdict["reproduced"], verdict["fixed"]) == ("pass", True, True), command.printed
    assert command.process.returncode == Exit.FINE
    assert "Reproduced, and the fix holds." in command.printed


def test_the_folder_is_as_documented(folder: Path, shared_place: Place) -> None:
    assert folder.parent == shared_place.out / INCIDENT
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d{6}Z", folder.name)
    assert (folder.parent / "latest").is_symlink()
    assert (folder.parent / "latest").resolve() == folder
    assert {path.name for path in folder.iterdir()} == {
        "before", "after", "experiment.json", "verdict.json", "report.html", "report.md", "junit.xml",
    }  # fmt: skip
    for variant in VARIANTS:
        assert {
            "run.json", "requests.parquet", "samples.parquet", "events.jsonl", "events-worker-0.jsonl", "offered.json",
            "failures-0.jsonl", "deadlocks.jsonl", "blocking.jsonl", "statements.parquet", "plans", "invariants.json",
            "logs", "finished.json",
        } <= {path.name for path in (folder / variant).iterdir()}  # fmt: skip
        assert json.loads((folder / variant / "finished.json").read_text())["status"] == "completed"
        assert {"postgres.log", "postgres.json", "master.log", "worker-0.log"} <= {
            path.name for path in (folder / variant / "logs").iterdir()
        }


def test_each_report_tells_of_both_variants(folder: Path) -> None:
    assert (folder / "report.html").read_text().lstrip().startswith("<!")
    for name in ("report.html", "report.md", "junit.xml"):
        text = (folder / name).read_text()
        assert all(variant in text for variant in VARIANTS), name
    assert ElementTree.parse(folder / "junit.xml").getroot().tag in ("testsuites", "testsuite")


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_arrival_is_recorded_once_and_none_is_early(folder: Path, variant: str) -> None:
    scheduled = json.loads((folder / variant / "run.json").read_text())["scheduled"]
    rows = rows_of(folder / variant)
    first = [row for row in rows if row[1] == 1]
    assert [row[0] for row in first] == list(range(sum(scheduled.values())))
    assert len({row[:2] for row in rows}) == len(rows)
    assert all(started >= intended for *_, intended, started in rows)
    by_operation = {name: sum(row[2] == name for row in first) for name in scheduled}
    assert by_operation == scheduled


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_was_offered_is_what_was_scheduled(folder: Path, variant: str) -> None:
    scheduled = json.loads((folder / variant / "run.json").read_text())["scheduled"]
    offered = json.loads((folder / variant / "offered.json").read_text())["operations"]
    assert {name: sum(counts) for name, counts in offered.items()} == scheduled
    recorded = ask(
        folder / variant,
        "SELECT operation, floor(intended_s)::INT, count(*) FROM requests WHERE attempt = 1 GROUP BY ALL ORDER BY ALL",
    )
    assert {(name, second): count for name, second, count in recorded} == {
        (name, second): count for name, counts in offered.items() for second, count in enumerate(counts) if count
    }


def test_the_same_seed_gives_both_variants_the_same_arrivals(folder: Path) -> None:
    before, after = ([row for row in rows_of(folder / variant) if row[1] == 1] for variant in VARIANTS)
    assert [(row[0], row[2], row[4]) for row in before] == [(row[0], row[2], row[4]) for row in after]


def test_client_log_and_counter_have_the_same_deadlocks(folder: Path) -> None:
    variants = json.loads((folder / "verdict.json").read_text())["variants"]
    before, after = variants["before"]["deadlocks"], variants["after"]["deadlocks"]
    assert before["client"] >= 1
    assert before["client"] == before["log"] == before["counter"] == before["matched"]
    assert (after["client"], after["log"], after["counter"]) == (0, 0, 0)
    assert before["agree"] is after["agree"] is True
    failed = ask(folder / "before", "SELECT count(*) FROM requests WHERE outcome = '40P01'")
    assert failed == [(before["client"],)]


def test_nothing_lies_in_the_data_that_nobody_was_told_of(folder: Path) -> None:
    variants = json.loads((folder / "verdict.json").read_text())["variants"]
    for variant in VARIANTS:
        assert variants[variant]["invariants"]
        assert [one["violations"] for one in variants[variant]["invariants"]] == [0] * 5


def test_a_report_can_be_written_anew_and_says_the_same(folder: Path, shared_place: Place) -> None:
    names = ("verdict.json", "report.md", "junit.xml", "report.html")
    written = {name: (folder / name).read_bytes() for name in names}
    for name in names:
        (folder / name).unlink()
    again = shared_place.run("report", str(folder))
    assert again.process.returncode == Exit.FINE, again.printed
    assert {name: (folder / name).read_bytes() for name in names} == written


def test_a_single_run_is_reported_without_touching_the_experiment(folder: Path, shared_place: Place) -> None:
    copy = shared_place.folder / "copy"
    shutil.copytree(folder, copy)
    before = (copy / "verdict.json").read_bytes()
    assert shared_place.run("report", str(copy / "after")).process.returncode == Exit.FINE
    assert json.loads((copy / "after" / "verdict.json").read_text())["variants"].keys() == {"after"}
    assert (copy / "verdict.json").read_bytes() == before


def test_each_worker_says_what_it_did(folder: Path) -> None:
    run = Run(folder / "after")
    try:
        done = [event for event in run.events("worker") if event.fields["state"] == "done"]
    finally:
        run.db.close()
    assert [event.fields["begun"] for event in done] == [event.fields["scheduled"] for event in done]


def test_nothing_is_left_behind(command: Command, shared_place: Place) -> None:
    assert command.process.returncode is not None
    assert shared_place.left() == []

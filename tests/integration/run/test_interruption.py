"""Ctrl-C and SIGTERM: the first ends in order, with verdict and report; the second at once. Neither leaves anything."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from harness.errors import Exit
from tests.integration.command import Command, Place, ask

INCIDENT = "one-statement"
LONG = ("--duration", "60s")


def interrupted(command: Command, run: Path, number: signal.Signals, recorded: int) -> dict[str, Any]:
    """Send a signal to a run in the middle, which ends in order; its verdict.

    :param recorded: how many requests were on disk before
    """
    command.signal(number)
    assert command.end() == Exit.INTERRUPTED, command.printed
    assert f"{number.name}: ending the load, then verdict and report; once more ends at once" in command.printed
    assert "Traceback" not in command.printed
    folder = run.parent
    verdict: dict[str, Any] = json.loads((folder / "verdict.json").read_text())
    assert verdict["status"] == "unknown"
    assert verdict["variants"]["before"]["valid"] is False
    assert "the run was interrupted" in verdict["variants"]["before"]["why_invalid"][0]
    assert (folder / "report.html").exists() and (folder / "report.md").exists() and (folder / "junit.xml").exists()
    assert (folder.parent / "latest").resolve() == folder
    assert json.loads((run / "finished.json").read_text())["status"] == "interrupted"
    ((found,),) = ask(run, "SELECT count(*) FROM requests")
    assert isinstance(found, int) and found >= recorded
    return verdict


def test_the_first_signal_ends_the_load_and_still_gives_a_report(place: Place) -> None:
    command = place.begin_run(INCIDENT, *LONG)
    run = place.await_load(INCIDENT, "before", rows=100)
    interrupted(command, run, signal.SIGTERM, 100)
    ((ok,),) = ask(run, "SELECT count(*) FROM requests WHERE outcome = 'ok'")
    assert isinstance(ok, int) and ok >= 100
    assert place.left() == []


def test_an_interrupted_variant_is_the_last(place: Place) -> None:
    command = place.begin_run("small-burst", *LONG)
    run = place.await_load("small-burst", "before", rows=20)
    verdict = interrupted(command, run, signal.SIGINT, 20)
    assert not (run.parent / "after").exists()
    assert verdict["fixed"] is None
    # what was in flight is cut off, and told from what failed
    assert {outcome for (outcome,) in ask(run, "SELECT DISTINCT outcome FROM requests")} <= {"ok", "40P01", "cut_off"}
    assert [one["violations"] for one in verdict["variants"]["before"]["invariants"]] == [0] * 5
    assert place.left() == []


def test_the_second_signal_ends_at_once(place: Place) -> None:
    """Ctrl-C twice; that it may be any other of the two is tested of the handler alone."""
    command = place.begin_run("small-burst", *LONG)
    run = place.await_load("small-burst", "before", rows=20)
    command.signal(signal.SIGINT)
    command.await_text("once more ends at once")
    command.signal(signal.SIGINT)
    assert command.end() == Exit.INTERRUPTED, command.printed
    assert "SIGINT again: ending at once" in command.printed
    assert "flashcrowd: ended at once, without verdict and report" in command.printed
    assert "Traceback" not in command.printed
    assert place.left() == []
    # nothing was judged, but what was recorded can be
    assert not (run.parent / "report.html").exists()
    assert place.run("report", str(run.parent)).process.returncode == Exit.UNKNOWN
    assert "interrupted" in (run.parent / "report.md").read_text()


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
def test_before_the_traffic_there_is_nothing_to_report(place: Place, times: int) -> None:
    command = place.begin(
        "run",
        INCIDENT,
        "--stack",
        "embedded",
        "--out",
        str(place.out),
        "--scale",
        "0.5",
        FLASHCROWD_CACHE=str(place.folder / "cache"),
    )
    command.await_text("seeding fixtures.collectibles")
    for _ in range(times):
        command.signal(signal.SIGINT)
        command.await_text("SIGINT: giving up before the traffic begins; once more ends at once")
    assert command.end() == Exit.INTERRUPTED, command.printed
    assert re.search(r"^flashcrowd: interrupted", command.printed, re.MULTILINE)
    assert "Traceback" not in command.printed
    assert list(place.out.rglob("20*")) == []
    assert place.left() == []


def test_while_the_load_starts_is_an_interrupted_run(place: Place) -> None:
    command = place.begin_run(INCIDENT)
    run = place.run_folder(INCIDENT, "before")
    command.signal(signal.SIGINT)
    assert command.end() == Exit.INTERRUPTED, command.printed
    finished = json.loads((run / "finished.json").read_text())
    assert (finished["status"], finished["why"]) == ("interrupted", "interrupted before the traffic began")
    assert json.loads((run.parent / "verdict.json").read_text())["status"] == "unknown"
    assert (run.parent / "report.html").exists()
    assert place.left() == []

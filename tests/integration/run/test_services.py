"""A run whose crowd meets a service, which meets the database: told, judged, and nothing left."""

from __future__ import annotations

import json
import shutil
import signal

import pytest

from harness.errors import Exit
from tests.integration.command import INCIDENTS, Place, ask

pytestmark = pytest.mark.server


def test_a_service_that_crashes_is_the_symptom_and_not_the_end_of_the_run(place: Place) -> None:
    command = place.begin_run("served")
    assert command.end() == 0, command.printed
    experiment = place.experiment("served")
    verdict = json.loads((experiment / "verdict.json").read_text())
    assert (verdict["reproduced"], verdict["fixed"]) == (True, True), command.printed

    before = experiment / "before"
    events = [json.loads(line) for line in (before / "events.jsonl").read_text().splitlines()]
    told = [event for event in events if event["kind"] == "server"]
    assert {event["fields"]["state"] for event in told} == {"crashed", "restarted"}
    assert {(event["fields"]["name"], event["fields"]["reason"]) for event in told} == {("pages-1", "memory")}
    crashed, restarted = told[:2]
    assert 0 < crashed["at_s"] < restarted["at_s"]
    ((refused,),) = ask(
        before, "SELECT count(*) FROM requests WHERE outcome IN ('connection_refused', 'connection_lost')"
    )
    assert isinstance(refused, int)
    assert refused > 0
    down = "SELECT max(value) FROM samples WHERE metric = 'flashcrowd_service_down' AND labels ->> 'name' = ?"
    assert ask(before, down, ["idle-1"]) == [(1.0,)], "the timeline had stopped it, and that broke nothing"
    assert ask(experiment / "after", "SELECT count(*) FROM requests WHERE outcome != 'ok'") == [(0,)]

    described = json.loads((before / "run.json").read_text())["stack"]["services"]
    assert [one["name"] for one in described] == ["pages", "idle"]
    assert "GET /page" in (before / "logs" / "pages-1.log").read_text()
    assert "pages-1: service (python -m served.service), 1 core" in (experiment / "report.md").read_text()
    page = (experiment / "report.html").read_text()
    assert "pages-1 was started again by its supervisor" in page
    assert "Services: memory" in page
    assert place.left() == []


def test_an_interruption_while_a_service_comes_up_leaves_nothing(place: Place) -> None:
    own = shutil.copytree(INCIDENTS / "served", place.folder / "own" / "served")
    declared = (own / "incident.py").read_text()
    never = declared.replace('"-m", "served.service"', '"-c", "import time; time.sleep(600)"')
    assert never != declared
    (own / "incident.py").write_text(never)
    command = place.begin_run("served", FLASHCROWD_LOADTESTS=str(own.parent))
    command.await_text("starting pages-1, idle-1")
    command.signal(signal.SIGINT)
    assert command.end() == Exit.INTERRUPTED, command.printed
    assert "Traceback" not in command.printed
    assert place.left() == []

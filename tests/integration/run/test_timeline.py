"""A run with a timeline: its actions take place, are told everywhere, and nothing of them is left, however the run ends."""

from __future__ import annotations

import json
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from harness.errors import Exit
from tests.integration.command import Place, ask, until

INCIDENT = "interference"
EMBEDDED = ("--stack", "embedded")


def events(run: Path) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in (run / "events.jsonl").read_text().splitlines())
    return [event for event in lines if event["kind"] == "action"]


def edges(run: Path) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for event in events(run):
        found.setdefault(event["fields"]["step"], []).append(event["fields"]["edge"])
    return found


def sleepers(place: Place) -> list[psutil.Process]:
    """The program that the timeline runs."""
    found = []
    for one in place.processes():
        with suppress(psutil.NoSuchProcess):
            found += [one] if one.name() == "sleep" else []
    return found


def test_a_timeline_is_carried_out_and_told(place: Place) -> None:
    command = place.begin_run(INCIDENT, *EMBEDDED, "--variant", "before")
    run = place.run_folder(INCIDENT, "before")
    until(lambda: sleepers(place), "the program")
    command.end()
    assert json.loads((run / "finished.json").read_text())["status"] == "completed", command.printed
    done = ["begin", "end", "undone"]
    assert edges(run) == {1: ["begin", "end"], 2: done, 3: ["begin", "unfinished"], 4: done, 5: done, 6: ["never"]}
    by_step = {(event["fields"]["step"], event["fields"]["edge"]): event for event in events(run)}
    assert re.search(r"buffers evicted: \d+ of postgres", by_step[1, "end"]["text"])
    assert by_step[2, "undone"]["at_s"] >= by_step[2, "begin"]["at_s"] + 0.6
    assert by_step[5, "begin"]["at_s"] > by_step[4, "end"]["at_s"], "it waits until the lock blocks somebody"
    # what was asked for while the table was locked had to wait until it was let go
    locked, free = by_step[4, "end"]["at_s"], by_step[4, "undone"]["at_s"]
    ((waited, least),) = ask(
        run,
        "SELECT count(*), min(finished_s) FROM requests WHERE intended_s > ? AND intended_s < ? - 0.1",
        [locked + 0.05, free],
    )
    assert isinstance(waited, int) and waited > 0
    assert isinstance(least, float) and least >= free - 0.1
    assert "drop index items_of_collector: undone" in command.printed
    html, markdown = ((run.parent / f"report.{kind}").read_text() for kind in ("html", "md"))
    assert "What was done to it, and when" in html
    assert "| 2 | drop index items\\_of\\_collector | at 0.4 s, for 0.6 s | postgres |" in markdown
    assert "did not take place: max(postgres.connections) &gt; 30 never came true, and it was not needed" in html
    assert place.left() == []


DERIVED = '''"""The same with another timeline."""

from dataclasses import replace

from harness.model import *
from tests.incidents.interference.incident import INCIDENT as BASE

INCIDENT = replace(BASE, name="derived", {changes})
'''


def derived(folder: Path, changes: str) -> dict[str, str]:
    """An incident of one's own with some fields changed; the environment in which it is found."""
    incident = folder / "derived"
    (incident / "variants").mkdir(parents=True)
    (incident / "incident.py").write_text(DERIVED.format(changes=changes))
    source = Path(__file__).parents[2] / "incidents" / INCIDENT
    for name in ("users.py", "variants/before.py", "variants/after.py"):
        (incident / name).write_text((source / name).read_text())
    return {"FLASHCROWD_LOADTESTS": str(folder)}


#: The index stays away until the end, which nobody waits for.
LASTING = """
    timeline=(BASE.timeline[0], replace(BASE.timeline[1], for_s=60), *BASE.timeline[2:]),
    traffic=replace(BASE.traffic, phases=(Constant(name="steady", at_s=0, for_s=40, per_s=40),)),
"""


def test_ctrl_c_in_the_middle_undoes_everything(place: Place, tmp_path: Path) -> None:
    command = place.begin_run("derived", *EMBEDDED, "--variant", "before", **derived(tmp_path, LASTING))
    command.await_text(r"run sleep 3600\n")
    until(lambda: sleepers(place), "the program")
    run = place.run_folder("derived", "before")
    assert edges(run)[2] == ["begin", "end"]
    command.signal(signal.SIGINT)
    assert command.end() == Exit.INTERRUPTED, command.printed
    assert edges(run)[2] == ["begin", "end", "undone"]
    assert edges(run)[3] == ["begin", "unfinished"]
    # A slow machine may have got to a further step before the signal came.
    assert {edges(run)[number][-1] for number in (4, 5, 6)} <= {"never", "undone", "unfinished"}
    assert edges(run)[6] == ["never"]
    (undone,) = [one for one in events(run) if (one["fields"]["step"], one["fields"]["edge"]) == (2, "undone")]
    assert undone["fields"]["at_end"] is True
    assert json.loads((run / "finished.json").read_text())["undone"] is True
    assert "Traceback" not in command.printed
    assert place.left() == []


def test_kill_9_in_the_middle_leaves_no_program_and_no_paused_server(place: Place, tmp_path: Path) -> None:
    run = 'Step(at_s=0.2, action=RunProgram(arguments=("sleep", "3600")))'
    environment = derived(tmp_path, f'timeline=({run}, Step(at_s=0.3, action=Pause(server="postgres")))')
    command = place.begin_run("derived", *EMBEDDED, **environment)
    command.await_text(r"pause postgres: done")
    until(lambda: sleepers(place), "the program")
    assert {server.status() for server in place.postmasters()} == {psutil.STATUS_STOPPED}
    command.signal(signal.SIGKILL)
    command.end()
    until(lambda: not sleepers(place), "the end of the program")
    swept = place.run("gc")
    assert swept.process.returncode == Exit.FINE, swept.printed
    # the disk that was kept for the report is there until somebody asks for one
    assert [one for one in place.left() if not one.endswith(".reserve")] == []


def test_what_the_provider_cannot_do_is_refused_before_the_load(place: Place, tmp_path: Path) -> None:
    environment = derived(tmp_path, 'timeline=(Step(at_s=1, for_s=1, action=CutOff(server="postgres")),)')
    command = place.begin_run("derived", *EMBEDDED, **environment)
    assert command.end() == Exit.STACK, command.printed
    assert "step 1 of the timeline, cut off postgres: " in command.printed
    assert "docker" in command.printed
    assert not list((place.out / "derived").glob("20*"))
    assert place.left() == []


def test_servers_that_could_not_be_put_back_are_not_used_again(place: Place, tmp_path: Path) -> None:
    timeline = 'timeline=(Step(at_s=0.1, action=RunProgram(arguments=("true",), undo=("false",))),)'
    phases = 'traffic=replace(BASE.traffic, phases=(Constant(name="steady", at_s=0, for_s=1, per_s=40),))'
    command = place.begin_run("derived", *EMBEDDED, **derived(tmp_path, f"{timeline}, {phases}"))
    place.await_load("derived", "before")
    first = {server.pid for server in place.postmasters()}
    place.await_load("derived", "after")
    second = {server.pid for server in place.postmasters()}
    assert first and second and not first & second
    command.end()
    folder = place.experiment("derived")
    assert [json.loads((folder / name / "finished.json").read_text())["undone"] for name in ("before", "after")] == [
        False,
        True,
    ]
    assert "run true could not be undone: false ended with exit code 1" in command.printed
    assert "the next variant gets servers anew" in command.printed
    assert place.left() == []

"""kill -9 of each process in turn: the run ends by itself, says who died, and keeps what was recorded."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from time import monotonic_ns
from typing import Any

import psutil
import psycopg
import pytest

from harness.errors import Exit
from tests.integration.command import Command, Place, ask, command_line, until

STEADY = "one-statement"  # 200 a second, evenly


def begin_steady(place: Place, *arguments: str) -> tuple[Command, Path]:
    """A run of a minute, and its folder once a second of it is recorded."""
    command = place.begin_run(STEADY, "--duration", "60s", *arguments)
    return command, place.await_load(STEADY, "before", rows=200)


def variant_of(folder: Path, name: str = "before") -> dict[str, Any]:
    """What the verdict says of a variant."""
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["status"] == "unknown"
    variant: dict[str, Any] = verdict["variants"][name]
    assert variant["valid"] is False
    return variant


def loaders(command: Command, role: str) -> list[psutil.Process]:
    """Locust's processes of a run: ``--worker`` or ``--master``."""
    return [process for process in command.descendants() if role in command_line(process)]


def test_the_harness(place: Place) -> None:
    command, run = begin_steady(place)
    began = json.loads((run / "run.json").read_text())["origin"]["monotonic_ns"]
    load = loaders(command, "--worker") + loaders(command, "--master")
    assert len(load) == 2
    killed_s = (monotonic_ns() - began) / 1e9
    command.process.kill()
    command.process.wait()
    # the workers see that it is gone, write their last rows and end
    assert not psutil.wait_procs(load, timeout=15)[1]

    report = place.run("report", str(run.parent))
    assert report.process.returncode == Exit.UNKNOWN, report.printed
    assert "the harness was killed before the run ended" in variant_of(run.parent)["why_invalid"][0]
    ((count, last_s),) = ask(run, "SELECT count(*), max(intended_s) FROM requests")
    assert isinstance(count, int) and isinstance(last_s, float)
    assert last_s > killed_s - 1.0, "all but the last second is there"
    assert count >= 200 * (killed_s - 1.0)
    # and nothing before it is missing
    ((highest,),) = ask(run, "SELECT max(arrival) FROM requests WHERE intended_s <= ?", [last_s - 0.5])
    assert ask(run, "SELECT count(*) FROM requests WHERE arrival <= ?", [highest]) == [(int(str(highest)) + 1,)]

    assert len(place.postmasters()) == 1, "nobody was there to stop it"
    swept = place.run("gc")
    assert swept.process.returncode == Exit.FINE
    assert "stopped PostgreSQL" in swept.printed and "removed" in swept.printed
    assert place.left() == []
    assert "nothing was left behind" in place.run("gc").printed


@pytest.mark.parametrize(("role", "named"), [("--worker", "worker 0"), ("--master", "Locust's master")])
def test_locusts_processes(place: Place, role: str, named: str) -> None:
    command, run = begin_steady(place)
    (victim,) = loaders(command, role)
    victim.kill()
    assert command.end() == Exit.UNKNOWN, command.printed
    why = variant_of(run.parent)["why_invalid"]
    assert f"{named} (pid {victim.pid}) ended with signal SIGKILL" in why[0], why
    assert named in (run.parent / "report.md").read_text()
    assert json.loads((run / "finished.json").read_text())["status"] == "broken"
    assert "Traceback" not in command.printed
    assert place.left() == []


def test_the_postmaster(place: Place) -> None:
    command, run = begin_steady(place)
    (postmaster,) = place.postmasters()
    postmaster.kill()
    assert command.end() == Exit.UNKNOWN, command.printed
    why = variant_of(run.parent)["why_invalid"]
    assert "a server of the stack died" in why[0] and "was killed by SIGKILL" in why[0]
    outcomes = {outcome for (outcome,) in ask(run, "SELECT DISTINCT outcome FROM requests")}
    assert {"ok", "connection_refused"} <= outcomes <= {
        "ok", "connection_lost", "connection_refused", "57P01", "57P02", "cut_off",
    }  # fmt: skip
    gaps = ask(run, "SELECT DISTINCT fields ->> 'probe' FROM events WHERE kind = 'gap'")
    assert {("activity",), ("database",), ("usage",)} <= set(gaps)
    died = ask(run, "SELECT at_s FROM events WHERE kind = 'server' AND fields ->> 'state' = 'died'")
    assert len(died) == 1
    assert "Traceback" not in command.printed
    assert place.left() == []


def test_one_backend(place: Place) -> None:
    """PostgreSQL then ends all sessions and recovers from its log: an incident of its own, and no fault of the measurement."""
    command = place.begin_run("small-burst", "--variant", "after", "--duration", "5s")
    run = place.await_load("small-burst", "after", rows=40)
    (postmaster,) = place.postmasters()

    def backends() -> list[psutil.Process]:
        return [one for one in postmaster.children() if "app crowd" in " ".join(command_line(one))]

    until(backends, "a session of the application")
    backends()[0].send_signal(signal.SIGKILL)
    command.end()
    assert "Traceback" not in command.printed
    finished = json.loads((run / "finished.json").read_text())
    assert finished["status"] == "completed", "the server came back"
    outcomes = dict(ask(run, "SELECT outcome, count(*) FROM requests GROUP BY 1"))  # type: ignore[arg-type]
    assert outcomes.keys() - {"ok"}, "some requests felt it"
    assert outcomes.keys() <= {"ok", "connection_lost", "connection_refused", "57P01", "57P02", "57P03"}
    ((last_ok, worst),) = ask(
        run, "SELECT max(intended_s) FILTER (outcome = 'ok'), max(intended_s) FILTER (outcome <> 'ok') FROM requests"
    )
    assert isinstance(last_ok, float) and isinstance(worst, float) and last_ok > worst, "it was used again"
    assert "was terminated by signal 9" in (run / "logs" / "postgres.log").read_text()
    verdict = json.loads((run.parent / "verdict.json").read_text())
    # a crash loses no acknowledged craft
    assert [one["violations"] for one in verdict["variants"]["after"]["invariants"]] == [0] * 5
    assert place.left() == []


def test_gc_leaves_a_live_run_alone(place: Place) -> None:
    command = place.begin("up", STEADY, "--scale", "0.02")
    dsn = command.await_text(r"FLASHCROWD_DSN=(\S+)")[1]
    assert "nothing was left behind" in place.run("gc").printed
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    command.signal(signal.SIGTERM)
    assert command.end() == Exit.FINE, command.printed
    assert place.left() == []

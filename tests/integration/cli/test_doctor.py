"""``flashcrowd doctor`` on this machine, on one that lacks everything, and on one with leftovers."""

from __future__ import annotations

import re
import signal

import pytest

from harness.errors import Exit
from tests.integration.command import SCALE, Command, Place

NAMES = (
    "Python", "packages", "system", "cores", "memory", "descriptors", "ports", "scheduler", "disk for runs",
    "disk for datasets", "disk for servers", "clock", "wall clock", "embedded PostgreSQL", "embedded MongoDB", "engine",
    "own servers", "leftovers",
)  # fmt: skip


@pytest.fixture
def wide(place: Place) -> Place:
    """A place where lines are not folded."""
    place.environment["COLUMNS"] = "400"
    return place


def told(command: Command, name: str) -> str:
    """The line about one thing."""
    found = re.search(rf"(?m)^(?:ok|warning|missing) +{name} .*(?:\n +→ .*)?", command.printed)
    assert found is not None, command.printed
    return found[0].rstrip()


def test_this_machine_can_run(wide: Place) -> None:
    command = wide.run("doctor")
    assert command.process.returncode == Exit.FINE, command.printed
    assert all(told(command, name) for name in NAMES)
    assert "postgres (PostgreSQL) 18" in told(command, "embedded PostgreSQL")
    assert told(command, "leftovers").endswith("none")
    assert "Runs are possible" in command.printed
    assert wide.left() == []


def test_one_without_servers_cannot(wide: Place) -> None:
    nothing = {"FLASHCROWD_PG_BIN": "/none", "FLASHCROWD_MONGOD": "/none", "DOCKER_HOST": "tcp://127.0.0.1:1"}
    command = wide.run("doctor", **nothing)
    assert command.process.returncode == Exit.STACK
    assert told(command, "embedded PostgreSQL").startswith("missing")
    assert "FLASHCROWD_PG_BIN=/none" in told(command, "embedded PostgreSQL")
    assert told(command, "embedded MongoDB").startswith("missing")
    assert "no Docker engine answers" in told(command, "engine")
    assert "No run is possible here" in command.printed


def test_leftovers_are_found_and_live_stacks_are_none(wide: Place) -> None:
    up = wide.begin("up", "small-burst", "--scale", SCALE)
    up.await_text("up until")
    assert told(wide.run("doctor"), "leftovers").startswith("ok")
    up.signal(signal.SIGKILL)
    up.end()
    left = told(wide.run("doctor"), "leftovers")
    assert left.startswith("warning") and "flashcrowd gc" in left
    wide.run("gc")
    assert wide.left() == []

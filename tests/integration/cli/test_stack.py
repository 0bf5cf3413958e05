"""Which stack ``flashcrowd run`` takes where no Docker engine answers."""

from __future__ import annotations

import signal

import pytest

from harness.errors import Exit
from tests.integration.command import Place

NOWHERE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


def test_docker_without_an_engine_says_what_to_do(place: Place) -> None:
    command = place.run("run", "one-statement", "--stack", "docker", "--out", str(place.out), **NOWHERE)
    assert command.process.returncode == Exit.STACK
    assert "flashcrowd: no Docker engine answers" in command.printed
    assert "start it (`systemctl start docker`, or `dockerd`), name another with DOCKER_HOST" in command.printed
    assert "Traceback" not in command.printed
    assert place.left() == []
    assert list(place.out.rglob("20*")) == []


@pytest.mark.server
def test_auto_without_an_engine_takes_child_processes_and_says_why(place: Place) -> None:
    command = place.begin_run("one-statement", "--stack", "auto", **NOWHERE)
    command.await_text(r"stack: embedded, servers as child processes\s\(no\sDocker\sengine\sanswers")
    command.signal(signal.SIGINT)
    assert command.end() == Exit.INTERRUPTED, command.printed
    assert place.left() == []

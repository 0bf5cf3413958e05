"""A whole run in containers through the command line: recorded, measured by control groups, judged, and nothing left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import docker
import pytest

from harness.stack.docker.images import Image
from tests.integration.command import Command, Place, ask, until
from tests.integration.docker.containers import left

pytestmark = pytest.mark.docker
INCIDENT = "small-burst"


@pytest.fixture(scope="module")
def command(shared_place: Place, offline: dict[str, Image]) -> Command:
    """The run, ended."""
    image = offline["postgres"].reference
    command = shared_place.begin_run(
        INCIDENT, "--stack", "docker", "--variant", "before", FLASHCROWD_POSTGRES_IMAGE=image
    )
    command.end(120)
    return command


@pytest.fixture(scope="module")
def run(command: Command, shared_place: Place) -> Path:
    """Its folder."""
    folder = shared_place.experiment(INCIDENT) / "before"
    assert json.loads((folder / "finished.json").read_text())["status"] == "completed", command.printed
    return folder


def test_it_is_judged_and_reported(run: Path, command: Command) -> None:
    verdict: dict[str, Any] = json.loads((run.parent / "verdict.json").read_text())
    assert verdict["incident"] == INCIDENT
    assert verdict["status"] in ("pass", "fail", "unknown")
    assert (run.parent / "report.html").stat().st_size > 10_000
    assert "Traceback" not in command.printed
    assert ask(run, "SELECT count(*) > 0 FROM requests WHERE outcome = 'ok'") == [(True,)]


def test_what_it_ran_on_is_recorded(run: Path) -> None:
    stack = json.loads((run / "run.json").read_text())["stack"]
    assert stack["provider"] == "docker"
    assert stack["postgres"]["image"]["id"].startswith("sha256:")
    assert stack["postgres"]["version_num"] >= 150000


def test_processor_and_memory_are_the_containers(run: Path) -> None:
    metrics = {row[0] for row in ask(run, "SELECT DISTINCT metric FROM samples WHERE labels->>'name' = 'postgres'")}
    assert {
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
        "container_cpu_cfs_periods_total",
        "flashcrowd_cpu_allotment_cores",
    } <= metrics


def test_the_servers_log_is_kept(run: Path) -> None:
    assert (run / "logs" / "postgres.json").is_file()
    assert (run / "logs" / "postgres.log").is_file()


def test_nothing_is_left(command: Command, shared_place: Place, client: docker.DockerClient) -> None:
    until(lambda: left(client, command.pid) == [], "containers and networks to be gone", limit_s=5)
    assert shared_place.left() == []

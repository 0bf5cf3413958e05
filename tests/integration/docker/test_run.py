"""A whole run in containers through the command line: recorded, measured by control groups, judged, and nothing left."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from psycopg.conninfo import conninfo_to_dict
from pymongo.uri_parser import parse_uri

from tests.integration.command import Command, Place, ask, environment_of, until
from tests.integration.docker.containers import left

pytestmark = pytest.mark.docker
INCIDENT = "two-databases"


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A run, ended.

    :param passwords: what its load logged in with
    :param shown: what ``ps`` showed of it meanwhile
    """

    command: Command
    passwords: frozenset[str]
    shown: tuple[str, ...]


@pytest.fixture(scope="module")
def watched(shared_place: Place, named: None) -> Watched:
    """The run."""
    command = shared_place.begin_run(INCIDENT, "--stack", "docker", "--variant", "before")
    shared_place.await_load(INCIDENT, "before", rows=20)
    told = [environment_of(process) for process in shared_place.processes()]
    dsns = {one["FLASHCROWD_DSN"] for one in told if "FLASHCROWD_DSN" in one}
    uris = {one["FLASHCROWD_MONGO"] for one in told if "FLASHCROWD_MONGO" in one}
    passwords = {str(conninfo_to_dict(dsn)["password"]) for dsn in dsns} | {parse_uri(uri)["password"] for uri in uris}
    shown = tuple(shared_place.command_lines())
    command.end(120)
    return Watched(command=command, passwords=frozenset(passwords), shown=shown)


@pytest.fixture(scope="module")
def command(watched: Watched) -> Command:
    """The run's command."""
    return watched.command


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
    assert stack["mongo"]["image"]["id"].startswith("sha256:")


@pytest.mark.parametrize("server", ["postgres", "mongo-1"])
def test_processor_and_memory_are_the_containers(run: Path, server: str) -> None:
    query = "SELECT DISTINCT metric FROM samples WHERE labels->>'name' = ?"
    metrics = {row[0] for row in ask(run, query, [server])}
    assert {
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
        "container_cpu_cfs_periods_total",
        "flashcrowd_cpu_allotment_cores",
    } <= metrics


def test_both_databases_answered_and_were_measured(run: Path) -> None:
    query = "SELECT operation FROM requests WHERE outcome = 'ok' GROUP BY operation ORDER BY operation"
    assert ask(run, query) == [("craft",), ("save_progress",)]
    query = "SELECT count(*) > 0 FROM samples WHERE metric = ?"
    for metric in ("pg_stat_activity_count", "mongodb_rs_members_state", "mongodb_ss_connections"):
        assert ask(run, query, [metric]) == [(True,)], metric
    checked = {one["name"]: one["violations"] for one in json.loads((run / "invariants.json").read_text())}
    assert checked and set(checked.values()) == {0}


def test_no_password_is_told(watched: Watched, run: Path, shared_place: Place) -> None:
    assert len(watched.passwords) == 2, "one for each database"
    files = [path for path in shared_place.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert run / "run.json" in files and watched.command.printed_to in files
    for password in watched.passwords:
        assert len(password) > 20
        assert [path for path in files if password.encode() in path.read_bytes()] == []
        assert [line for line in watched.shown if password in line] == []


def test_the_servers_log_is_kept(run: Path) -> None:
    assert (run / "logs" / "mongo-1.log").is_file()
    assert (run / "logs" / "postgres.json").is_file()
    assert (run / "logs" / "postgres.log").is_file()


def test_nothing_is_left(command: Command, shared_place: Place, client: docker.DockerClient) -> None:
    until(lambda: left(client, command.pid) == [], "containers and networks to be gone", limit_s=5)
    assert shared_place.left() == []

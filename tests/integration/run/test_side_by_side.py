"""Two runs of one incident at once, beside each other: each has its own server, folder and arrivals, and both end well."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from harness.catalog import load_folder
from harness.errors import Exit
from harness.load.arrivals import scaled, schedule
from tests.integration.command import INCIDENTS, Command, Place, ask, command_line, crowded_out, rows_of, until

INCIDENT = "small-burst"
SEEDS = (11, 12)  # of no other module: both have their dataset to seed, or neither, so they keep abreast
TRAFFIC_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """One of the two, as it was seen while both ran.

    :param port: where its server listened
    :param spoken_to: ports of servers that its load had connections to
    """

    seed: int
    command: Command
    folder: Path
    port: int
    spoken_to: frozenset[int]


def ports(process: psutil.Process, *, listening: bool) -> set[int]:
    """TCP ports that it listens on, or those that it is connected to."""
    found = process.net_connections("tcp")
    if listening:
        return {one.laddr.port for one in found if one.status == psutil.CONN_LISTEN}
    return {one.raddr.port for one in found if one.status == psutil.CONN_ESTABLISHED}


@pytest.fixture(scope="module")
def both(shared_place: Place) -> Iterator[tuple[Beside, Beside]]:
    """Two runs with different seeds into the same folder, at the end of both."""
    commands = [
        shared_place.begin_run(INCIDENT, "--variant", "after", "--duration", f"{TRAFFIC_S:g}s", "--seed", str(seed))
        for seed in SEEDS
    ]
    root = shared_place.out / INCIDENT

    def recorded() -> bool:
        """Whether each of the two has requests on record."""
        runs = [path.parent for path in root.glob("20*/after/run.json")]
        return len(runs) == 2 and all(any(path.stat().st_size for path in run.glob("*.rows")) for run in runs)

    until(recorded, "both runs to have requests on record")
    seen = []
    servers = shared_place.postmasters()
    for seed, command in zip(SEEDS, commands, strict=True):
        family = command.descendants()
        (server,) = [process for process in servers if process in family]
        (port,) = ports(server, listening=True)
        (worker,) = [process for process in family if "--worker" in command_line(process)]
        seen.append((seed, command, port, frozenset(ports(worker, listening=False))))
    assert all(command.process.poll() is None for command in commands), "they were to run at the same time"
    codes = [command.end() for command in commands]
    assert set(codes) <= {Exit.FINE, Exit.UNKNOWN}, "".join(command.printed for command in commands)
    folders = {json.loads((path / "run.json").read_text())["seed"]: path for path in root.glob("20*/after")}
    first, second = (
        Beside(seed=seed, command=command, folder=folders[seed], port=port, spoken_to=spoken_to)
        for seed, command, port, spoken_to in seen
    )
    yield first, second


def test_each_has_a_server_of_its_own(both: tuple[Beside, Beside]) -> None:
    first, second = both
    assert first.port != second.port
    for one, other in (both, reversed(both)):
        assert one.port in one.spoken_to
        assert other.port not in one.spoken_to


def test_each_has_a_folder_of_its_own_and_says_which(both: tuple[Beside, Beside]) -> None:
    first, second = both
    assert first.folder.parent != second.folder.parent
    for one, other in (both, reversed(both)):
        assert str(one.folder.parent) in one.command.printed
        assert f"{other.folder.parent}/" not in one.command.printed
        asked = json.loads((one.folder.parent / "experiment.json").read_text())["command"]
        words = shlex.split(asked)
        assert words[words.index("--seed") + 1] == str(one.seed)
        assert json.loads((one.folder / "finished.json").read_text())["status"] == "completed"


def test_each_has_exactly_the_arrivals_of_its_seed(both: tuple[Beside, Beside]) -> None:
    traffic = scaled(load_folder(INCIDENTS / "small_burst").traffic, ends_s=TRAFFIC_S)
    for one in both:
        due = schedule(traffic, one.seed)
        expected = [
            (int(index), due.operations[operation], int(due_ns))
            for index, operation, due_ns in zip(due.index, due.operation, due.due_ns, strict=True)
        ]
        assert [(row[0], row[2], row[4]) for row in rows_of(one.folder) if row[1] == 1] == expected


def test_each_database_holds_exactly_its_own_crafts(both: tuple[Beside, Beside]) -> None:
    for one in both:
        verdict = json.loads((one.folder.parent / "verdict.json").read_text())["variants"]["after"]
        assert verdict["valid"] or crowded_out(one.folder.parent), verdict["why_invalid"]
        # among them: no acknowledged craft is missing, and nothing was crafted that nobody asked for
        assert [found["violations"] for found in verdict["invariants"]] == [0] * 5
        assert ask(one.folder, "SELECT DISTINCT outcome FROM requests") == [("ok",)]


def test_latest_is_one_of_them(both: tuple[Beside, Beside], shared_place: Place) -> None:
    link = shared_place.out / INCIDENT / "latest"
    assert link.is_symlink()
    assert link.resolve() in {one.folder.parent for one in both}
    assert {path.name for path in link.parent.iterdir()} == {"latest", *(one.folder.parent.name for one in both)}


def test_nothing_is_left_behind(both: tuple[Beside, Beside], shared_place: Place) -> None:
    assert all(one.command.process.returncode in (Exit.FINE, Exit.UNKNOWN) for one in both)
    assert shared_place.left() == []

"""Locust's processes, started together: also where somebody has the master's port by then."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from harness import catalog
from harness.errors import FlashcrowdError
from harness.load import processes
from harness.load.plan import DSN_VARIABLE, Plan
from harness.load.processes import LoadProcesses
from harness.record.reader import read_events
from tests.integration.command import INCIDENTS

FOLDER = INCIDENTS / "one_statement"
#: Nobody connects before the load begins.
ADDRESSES = {DSN_VARIABLE: "postgresql://app@127.0.0.1:1/crowd"}


READY = {"at_s": -7.5, "kind": "worker", "text": "ready", "fields": {"worker": 0, "state": "ready"}}


@pytest.fixture
def listener() -> Iterator[int]:
    """A port of somebody else's."""
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        yield somebody.getsockname()[1]


def load_of(folder: Path, incident_folder: Path = FOLDER) -> LoadProcesses:
    incident = catalog.load_folder(FOLDER)
    plan = Plan(
        incident_folder=str(incident_folder),
        variant="before",
        run_folder=str(folder),
        seed=1,
        workers=2,
        rate=1.0,
        ends_s=incident.traffic.ends_s,
        drain_s=1.0,
        interval_s=1.0,
    )
    return LoadProcesses(plan, incident.traffic, ADDRESSES, None)


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE}


async def test_where_the_port_is_taken_all_begin_anew_at_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: int
) -> None:
    before, kept_port, given = children(), processes._kept_port, [listener]
    told = [tmp_path / f"events-worker-{number}.jsonl" for number in range(2)]

    @contextmanager
    def first_a_taken_one() -> Iterator[int]:
        with kept_port() as port:
            if not given:
                yield port
                return
            yield given.pop()
            for path in told:  # as a worker does that has met another's master
                path.write_text(json.dumps(READY) + "\n")

    monkeypatch.setattr(processes, "_kept_port", first_a_taken_one)
    async with load_of(tmp_path) as load:
        assert [READY["at_s"] in [event.at_s for event in read_events(path)] for path in told] == [False, False]
        assert given == []
        assert len(load.pids) == 2
        assert len(children() - before) == 3, "a master and two workers, of the second start"
        assert load.dead() is None
    assert children() <= before


async def test_a_worker_that_ends_before_it_is_ready_is_named_with_what_it_said(tmp_path: Path) -> None:
    before, broken, run = children(), tmp_path / "broken", tmp_path / "run"
    shutil.copytree(FOLDER, broken)
    users = (broken / "users.py").read_text()
    ends = "import os, sys\nif os.environ['FLASHCROWD_WORKER'] == '1':\n    sys.exit('no more of this')\n"
    (broken / "users.py").write_text(ends + users)
    run.mkdir()
    with pytest.raises(FlashcrowdError, match=r"(?s)worker 1 .* before it was ready; .*no more of this"):
        async with load_of(run, broken):
            pass
    assert children() <= before


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port is not kept")
def test_a_kept_port_can_be_listened_on_by_who_allows_others_and_is_given_to_nobody() -> None:
    with processes._kept_port() as port:
        with socket.socket() as master:
            master.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            master.bind(("127.0.0.1", port))
            master.listen()
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        with socket.socket() as somebody, pytest.raises(OSError, match="in use"):
            somebody.bind(("127.0.0.1", port))

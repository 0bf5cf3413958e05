"""Telling processes apart, and finding those of a data folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.errors import StackError
from harness.stack import processes
from harness.stack.processes import Identity


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as running:
        yield running
        running.kill()


def test_a_process_lives_until_it_ends(child: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(child.pid)
    assert identity.lives()
    child.kill()
    psutil.wait_procs([psutil.Process(child.pid)], timeout=10)
    assert not identity.lives()


def test_another_process_of_the_same_number_is_not_it(child: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(child.pid)
    assert not replace(identity, started_s=identity.started_s - 60).lives()


def test_a_zombie_does_not_live(child: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet reaped
    assert not identity.lives()


def test_an_unreaped_child_of_ours_can_be_ended(child: subprocess.Popen[bytes]) -> None:
    assert processes.end([psutil.Process(child.pid)])
    assert not psutil.pid_exists(child.pid)


def test_one_that_its_parent_does_not_reap_has_ended() -> None:
    """As those that a killed harness leaves in a container whose first process reaps nobody."""
    forgetful = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", forgetful], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        try:
            assert parent.stdout is not None
            orphan = psutil.Process(int(parent.stdout.readline()))
            assert processes.end([orphan], limit_s=60.0)
            assert orphan.status() == psutil.STATUS_ZOMBIE
        finally:
            parent.kill()


def test_only_server_programs_of_that_folder_are_found(tmp_path: Path) -> None:
    """A person's shell that stands in the data folder is none of them, and no server of another folder is."""
    mine, other, programs = tmp_path / "mine", tmp_path / "other", tmp_path / "programs"
    for folder in (mine, other, programs):
        folder.mkdir()
    python = Path(sys.executable).resolve()
    lookalike = programs / "postgres"
    lookalike.symlink_to(python)
    started = [
        subprocess.Popen([program, "-c", "import time; time.sleep(60)"], cwd=folder)
        for program, folder in ((lookalike, mine), (lookalike, other), (python, mine))
    ]
    try:
        assert [process.pid for process in processes.of_data_folder(mine)] == [started[0].pid]
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_a_killed_child_that_the_system_holds_is_told(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "KILLED_S", 0.05)
    with pytest.raises(StackError, match=rf"^web-1, process {child.pid}, was killed and has not ended in 0.05 s"):
        processes.reap(child, "web-1")  # nobody killed it, which looks the same
    child.kill()
    monkeypatch.undo()
    processes.reap(child, "web-1")
    assert child.returncode == -signal.SIGKILL

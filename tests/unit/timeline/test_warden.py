"""A program under a warden ends with all that it started when its warden is told to, or when the harness is gone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from harness.timeline import warden

SPAWNS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


def begin(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", str(Path(warden.__file__)), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and what it printed; its input stays open until it has ended, for the end of that would end it."""
    process.wait(20)
    printed, said = process.communicate()
    return process.returncode, printed + said


def test_it_ends_as_its_program_does() -> None:
    assert ended(begin("sh", "-c", "echo done; exit 3")) == (3, "done\n")
    assert ended(begin("sh", "-c", "kill -9 $$")) == (128 + signal.SIGKILL, "")


def test_a_program_that_is_not_there() -> None:
    code, said = ended(begin("/no/such/program"))
    assert code == warden.NOT_STARTED
    assert "/no/such/program cannot be started" in said


def test_the_end_of_its_input_ends_the_program_and_what_it_started() -> None:
    process = begin(sys.executable, "-c", SPAWNS)
    assert process.stdout is not None and process.stdin is not None
    grandchild = int(process.stdout.readline())
    assert psutil.pid_exists(grandchild)
    process.stdin.close()
    process.stdin = None
    code, _ = ended(process)
    assert code == 128 + signal.SIGTERM
    until(lambda: not psutil.pid_exists(grandchild))


def test_what_does_not_listen_is_killed() -> None:
    process = begin(sys.executable, "-c", DEAF)
    assert process.stdout is not None
    assert process.stdout.readline() == "deaf\n"
    process.terminate()
    assert ended(process)[0] == 128 + signal.SIGKILL


def test_what_a_program_leaves_behind_is_ended_too() -> None:
    process = begin("sh", "-c", "sleep 600 & echo $!")
    assert process.stdout is not None
    left = int(process.stdout.readline())
    assert ended(process)[0] == 0
    until(lambda: not psutil.pid_exists(left))

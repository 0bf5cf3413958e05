"""Workers go first where the system allows it and the cores are the load's alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.load.precedence import NICENESS, prefer
from harness.run import load_alone
from tests.privileges import may_be_preferred

SYSTEM_ALLOWS = may_be_preferred(NICENESS)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process, first of a session, with a thread that begins when its standard input ends; it says how nice that is."""
    program = """
import os, sys, threading
sys.stdin.read()
thread = threading.Thread(target=lambda: print(os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
thread.start()
thread.join()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as running:
        yield running
        running.kill()


def test_it_is_preferred_with_threads_that_it_begins_later(child: subprocess.Popen[bytes]) -> None:
    assert prefer(child.pid) is SYSTEM_ALLOWS
    group = Path(f"/proc/{child.pid}/autogroup")
    wanted = NICENESS if SYSTEM_ALLOWS else 0
    if group.exists():
        assert group.read_text().split()[-1] == str(wanted)
    said, _ = child.communicate(timeout=60)
    if sys.platform == "linux":
        assert int(said) == wanted


def test_who_was_started_to_be_nice_prefers_nobody(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpriority", lambda which, who: 5)
        assert prefer(child.pid) is False
    assert os.getpriority(os.PRIO_PROCESS, child.pid) == 0


def test_where_the_system_does_not_allow_it_nothing_happens(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(which: int, who: int, priority: int) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "setpriority", refuse)
    assert prefer(child.pid) is False


def test_one_that_has_ended_is_not_preferred(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    assert prefer(child.pid) is False


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
@pytest.mark.parametrize(
    ("load", "alone"),
    [
        pytest.param(lambda own: None, False, id="any"),
        pytest.param(lambda own: own, False, id="a server's"),
        pytest.param(lambda own: (max(own) + 1,), True, id="none that a server has"),
    ],
)
def test_the_loads_cores_are_its_own_where_no_server_may_run(load: Any, alone: bool) -> None:
    own = tuple(sorted(os.sched_getaffinity(0)))
    ours, gone = SimpleNamespace(pid=os.getpid()), None
    servers = {"postgres": SimpleNamespace(footprint=lambda: ours), "down": SimpleNamespace(footprint=lambda: gone)}
    stack: Any = SimpleNamespace(load_cores=load(own), servers=servers)
    assert load_alone(stack) is alone

"""A short slice is asked for without privilege, and only changes the thread that asked."""

import os
import platform
import sys
import threading

import pytest

from harness.load.locust_side import timeslice


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="Linux only")
def test_the_thread_stays_an_ordinary_one() -> None:
    found: list[tuple[bool, int, int]] = []

    def ask() -> None:
        found.append((timeslice.shorten(), os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)))

    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == [(True, os.SCHED_OTHER, niceness)]


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "sparc")
    assert timeslice.shorten() is False

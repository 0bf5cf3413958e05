"""A process that works on somebody else's core for a while, and how long cores worked by psutil's account."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psutil

#: Works on one core until it has had so many seconds of it, or a minute is over; then it waits to be ended.
_WORK = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
ends = time.monotonic() + 60
while time.process_time() < float(sys.argv[2]) and time.monotonic() < ends:
    pass
sys.stdin.read()
"""


@contextmanager
def neighbour(core: int, seconds: float) -> Iterator[psutil.Process]:
    """A process that uses ``seconds`` of a core; gone afterwards."""
    with subprocess.Popen([sys.executable, "-c", _WORK, str(core), str(seconds)], stdin=subprocess.PIPE) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()


def cpu_s(process: psutil.Process) -> float:
    """What it has used, by its own clock."""
    times = process.cpu_times()
    return float(times.user + times.system)


def worked_s(cores: Iterable[int]) -> float:
    """How long cores worked since the machine started, for whomever."""
    times = psutil.cpu_times(percpu=True)
    return float(
        sum(sum(getattr(times[core], mode) for mode in ("user", "nice", "system", "irq", "softirq")) for core in cores)
    )

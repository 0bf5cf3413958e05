"""Which processes belong to a data folder, and which process a recorded one is.

A number alone proves nothing: it may have been given to another process since. A process is told by its number and its
start, a server's processes by the data folder, which is their working folder or stands in their arguments.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.errors import StackError
from harness.stack.services.service import FOLDER_VARIABLE

# The start is computed from the wall clock at boot, which corrections move a little; a number comes round far later.
SAME_START_S = 1.5
SERVICE_LOG = "service.log"  # in a folder's ``log``, which is then a service's
LOOK_S = 0.05
KILLED_S = (
    10.0  # more than a process takes to end that was killed, unless the system holds it, as a disk that hangs does
)
PROGRAMS = ("postgres", "initdb", "postmaster", "pg_basebackup", "mongod")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A process, told by its number and its start in seconds since the Unix epoch."""

    pid: int
    started_s: float

    @classmethod
    def of(cls, pid: int) -> Identity:
        """The identity of a living process.

        :raises psutil.NoSuchProcess: there is none
        """
        return cls(pid=pid, started_s=psutil.Process(pid).create_time())

    def lives(self) -> bool:
        """Whether that very process is still there."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            return self.matches(process) and process.status() != psutil.STATUS_ZOMBIE
        return False

    def matches(self, process: psutil.Process) -> bool:
        """Whether ``process`` is it."""
        return process.pid == self.pid and abs(process.create_time() - self.started_s) < SAME_START_S


def of_data_folder(data: Path) -> list[psutil.Process]:
    """The living server processes that work in ``data``: postmaster, backends, initdb, mongod; of a service's folder all that
    were started in it or by such."""
    of_service = (data.parent / "log" / SERVICE_LOG).exists()
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if is_marked(process, data) if of_service else process.name() in PROGRAMS and _works_in(process, data):
                found.append(process)
    return found


def is_marked(process: psutil.Process, folder: Path) -> bool:
    """Whether a process was told, or inherited, that ``folder`` is its working folder as a service."""
    return process.pid != os.getpid() and process.environ().get(FOLDER_VARIABLE) == str(folder)


def end(processes: Iterable[psutil.Process], *, number: int = signal.SIGKILL, limit_s: float = 5.0) -> bool:
    """Send a signal to each and wait until all have ended.

    :returns: whether all have
    """
    processes = list(processes)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)  # psutil checks that the number is still that process's
    return not await_end(processes, limit_s)


def reap(killed: subprocess.Popen[bytes], what: str) -> None:
    """Wait for a child that was killed.

    :param what: its name for people
    :raises StackError: it does not end
    """
    try:
        killed.wait(KILLED_S)
    except subprocess.TimeoutExpired:
        raise StackError(
            f"{what}, process {killed.pid}, was killed and has not ended in {KILLED_S:g} s: the system holds it, as it does "
            "while a disk hangs; `flashcrowd gc` removes what it leaves once it has"
        ) from None


def await_end(processes: Iterable[psutil.Process], limit_s: float) -> list[psutil.Process]:
    """Wait until all have ended, at most so long.

    :returns: those that have not
    """
    left, ends = list(processes), time.monotonic() + limit_s
    while left and time.monotonic() < ends:
        left = [process for process in psutil.wait_procs(left, timeout=LOOK_S)[1] if not _is_unreaped(process)]
    return left


def _is_unreaped(process: psutil.Process) -> bool:
    """Whether it has ended and somebody else has yet to take note of that: first processes of containers do so late or never."""
    with suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE and process.ppid() != os.getpid()
    return True


def _works_in(process: psutil.Process, data: Path) -> bool:
    if str(data) in process.cmdline():
        return True
    try:
        return process.cwd() == str(data)
    except psutil.AccessDenied:
        return False

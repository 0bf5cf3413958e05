"""A server's processes as one: its main process and all that descend from it, paused, resumed, killed or moved together."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

from harness.errors import StackError
from harness.stack import cores

STOPPED_LIMIT_S = 5.0
_LOOK_AGAIN_S = 0.005


def members(pid: int) -> list[psutil.Process]:
    """The main process and all that descend from it; none where it is gone."""
    with suppress(psutil.NoSuchProcess):
        main = psutil.Process(pid)
        return [main, *main.children(recursive=True)]
    return []


def pause(pid: int) -> None:
    """Stop them without ending them; returns when all have stopped.

    :raises StackError: one does not stop
    """
    ends = time.monotonic() + STOPPED_LIMIT_S
    while running := [one for one in members(pid) if not _stopped(one)]:
        # The main process is the first, so that none is born after a look that found all of them stopped.
        _signal(running, signal.SIGSTOP)
        if time.monotonic() > ends:
            numbers = ", ".join(str(one.pid) for one in running)
            raise StackError(f"processes {numbers} did not stop: they wait for a disk that does not answer")
        time.sleep(_LOOK_AGAIN_S)


def resume(pid: int) -> None:
    """Let them go on."""
    _signal(reversed(members(pid)), signal.SIGCONT)


def kill(pid: int) -> None:
    """End all of them as a power cut does; the caller reaps the main process, its child."""
    with suppress(
        StackError
    ):  # stopped first, so that none is born meanwhile; one that cannot be stopped is killed too
        pause(pid)
    _signal(members(pid), signal.SIGKILL)


def memory_bytes(pids: Sequence[int], *, enough: int) -> int:
    """Memory of processes that is theirs alone, without files and memory that they share with others.

    Pages that a child inherited and has not written to are counted once for each process, unless that makes more than
    ``enough``: then the kernel is asked for the exact share of each, which takes it a while.
    """
    rough = sum(_own_bytes(pid) for pid in pids)
    return rough if rough <= enough or len(pids) == 1 else sum(_exact_bytes(pid) for pid in pids)


def descendants(pid: int) -> list[int]:
    """Numbers of all processes that descend from one, whichever thread began them; none where it is gone.

    Where the kernel tells children, that takes some tens of microseconds; looking at every process of the machine, as
    elsewhere, takes milliseconds.
    """
    if not _tells_children():
        return [process.pid for process in members(pid)[1:]]
    found: list[int] = []
    asked = [pid]
    while asked:
        with suppress(FileNotFoundError, ProcessLookupError):  # gone since it was told
            for task in Path(f"/proc/{asked.pop()}/task").iterdir():
                with suppress(FileNotFoundError, ProcessLookupError):
                    children = [int(child) for child in (task / "children").read_bytes().split()]
                    found += children
                    asked += children
    return found


def hold(pid: int, wanted: tuple[int, ...]) -> None:
    """Hold all their threads to the cores ``wanted``, those born later too.

    :raises StackError: this system does not let us
    """
    if not hasattr(os, "sched_setaffinity"):
        raise StackError(cores.CANNOT_HOLD)
    for _ in range(2):  # who was born of one not yet moved is found the second time
        for one in members(pid):
            with suppress(FileNotFoundError, ProcessLookupError):
                cores.hold(one.pid, wanted)


@cache
def _tells_children() -> bool:
    """Whether this kernel has the file ``children`` of proc(5), which it may be built without."""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def _own_bytes(pid: int) -> int:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        found = psutil.Process(pid).memory_info()
        return max(0, int(found.rss) - int(getattr(found, "shared", 0)))
    return 0


def _exact_bytes(pid: int) -> int:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        found = psutil.Process(pid).memory_full_info()
        return min(_own_bytes(pid), int(getattr(found, "pss", found.uss)))
    return 0


def _stopped(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    return True


def _signal(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)  # psutil checks that the number is still that process's

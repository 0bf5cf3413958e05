"""CPU and memory of a server that is a child process, by it and its children.

CPU is the live processes' own time and, so that what short-lived backends used is not lost, the time of those that ended, which
the kernel keeps with the postmaster that waited for them. A mongod is one process of many threads: its clock counts them all,
those that ended too. Memory is the private memory of all processes and, once, the shared
memory, as far as the process that touched the most of it did (a lower bound: resident sizes would count it per backend,
and asking the kernel for the exact share of each page of every process costs fifteen times as much as all of this).
Pages that a backend inherited from the postmaster and has not written to are private to neither: what they count too much is
asked of a few processes a second, in turn.

On Linux a tick costs about 1 ms at 80 processes: of each the clock and a small file are read, of the postmaster three files. Elsewhere psutil
says what it can; memory is then not measured, since private and shared cannot be told apart.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psutil

from harness.probes.controlgroup import GONE
from harness.probes.probe import Unmeasured
from harness.stack import family

_RETRIES = 3  # readings during which a backend ended are taken again; three in a row would need a backend to end every millisecond
_ASK_EVERY_S = 0.95
_ASKED_FIRST = 16  # before the load there are the server's own processes only
_ASKED = 2
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Tree(Protocol):
    """A process and its children, on one operating system."""

    def cpu_s(self) -> float:
        """CPU seconds used since the process began, by it and by all children, also those that ended."""

    def memory_bytes(self) -> float | None:
        """Private memory of all and shared memory once; None where that cannot be told."""


def tree_of(pid: int, *, deep: bool = False) -> Tree:
    """The processes of a server, by its main process.

    :param deep: whether its children may have children, and its threads, as those of a service may
    """
    if not Path(f"/proc/{pid}/stat").exists():
        return PortableTree(pid)
    return DeepLinuxTree(pid) if deep else LinuxTree(pid)


class LinuxTree:
    """Asks the kernel: CPU of the living to the nanosecond (the clock of each process), of those that ended to the clock tick."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._shared = 0
        self._twice: dict[int, int] = {}  # what of a process's memory others count too, bytes; asked longest ago first
        self._asked_s = float("-inf")

    def cpu_s(self) -> float:
        """:raises Unmeasured: the process is gone"""
        total = 0.0
        for _ in range(_RETRIES):
            # Those that ended are read before and after the living: if it changed, one of the living may have been missed.
            ended = self._ended_s()
            total = ended + sum(self._lived_s(pid) for pid in (self._pid, *self._children()))
            if self._ended_s() == ended:
                break
        return total

    def memory_bytes(self) -> float:
        """:raises Unmeasured: the process is gone"""
        private = 0
        most = (0, self._pid)
        pids = (self._pid, *self._children())
        for pid in pids:
            with suppress(FileNotFoundError, ProcessLookupError):
                fields = _read(f"/proc/{pid}/statm").split()
                resident, shared = int(fields[1]), int(fields[2])
                private += resident - shared
                most = max(most, (shared, pid))
        # statm adds up shared memory and mapped files; the whole status, dearer, is only read of the process that leads.
        # The maximum is kept: pages stay when the process that touched them ends.
        with suppress(FileNotFoundError, ProcessLookupError):
            self._shared = max(self._shared, _kib(_read(f"/proc/{most[1]}/status"), "RssShmem") or 0)
        return float(max(0.0, private * _PAGE - self._counted_twice(pids)) + self._shared)

    def _counted_twice(self, pids: Sequence[int]) -> float:
        """Bytes that are in the private memory of more than one process; who was not asked yet is taken to be like the others."""
        self._twice = {pid: twice for pid, twice in self._twice.items() if pid in pids}
        if len(pids) == 1:
            return 0.0  # and walking the pages of one large process would take long
        if time.monotonic() - self._asked_s >= _ASK_EVERY_S:
            fresh = [pid for pid in pids if pid not in self._twice]
            for pid in [*fresh, *self._twice][: _ASKED if self._twice else _ASKED_FIRST]:
                twice = _twice_bytes(pid)
                self._twice.pop(pid, None)
                if twice is not None:
                    self._twice[pid] = twice
            self._asked_s = time.monotonic()
        if not self._twice:
            return 0.0
        return sum(self._twice.values()) / len(self._twice) * len(pids)

    def _children(self) -> list[int]:
        try:
            return [int(pid) for pid in _read(f"/proc/{self._pid}/task/{self._pid}/children").split()]
        except FileNotFoundError:  # a kernel without that file, or the process is gone
            try:
                return [child.pid for child in psutil.Process(self._pid).children()]
            except psutil.NoSuchProcess as error:
                raise Unmeasured(GONE) from error

    def _lived_s(self, pid: int) -> float:
        try:
            # clock_getcpuclockid(3): a process's clock bears its inverted number and, in three bits, 2 for "as scheduled".
            return time.clock_gettime(~pid << 3 | 2)
        except OSError:
            return 0.0  # ended just now: the next reading finds it among those that ended

    def _ended_s(self) -> float:
        try:
            fields = _fields(self._pid)
        except (FileNotFoundError, ProcessLookupError) as error:
            raise Unmeasured(GONE) from error
        if fields[0] in "ZX":
            raise Unmeasured(GONE)
        return _waited_for_s(fields)


class DeepLinuxTree(LinuxTree):
    """The same of processes whose children have children of their own, begun by any thread.

    What a child used whose parent ended before it is not known once it ends: nobody of the tree has waited for it.
    """

    def _children(self) -> list[int]:
        return family.descendants(self._pid)

    def _ended_s(self) -> float:
        total = super()._ended_s()
        for pid in self._children():
            with suppress(FileNotFoundError, ProcessLookupError):
                total += _waited_for_s(_fields(pid))
        return total


class PortableTree:
    """Asks psutil. Where the system keeps no time of ended children, the last that was seen of each is kept instead."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: dict[tuple[int, float], float] = {}

    def cpu_s(self) -> float:
        """:raises Unmeasured: the process is gone"""
        try:
            main = psutil.Process(self._pid)
            times = main.cpu_times()
            children = main.children(recursive=True)
        except psutil.NoSuchProcess as error:
            raise Unmeasured(GONE) from error
        ended_s = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        living: dict[tuple[int, float], float] = {}
        for child in children:
            with suppress(psutil.Error):
                child_times = child.cpu_times()
                living[child.pid, child.create_time()] = child_times.user + child_times.system
        self._seen |= living
        own_s = times.user + times.system
        if ended_s > 0:
            return own_s + ended_s + sum(living.values())
        return own_s + sum(self._seen.values())

    def memory_bytes(self) -> None:
        """Not measured: resident sizes would count the shared memory once per backend."""
        return


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 16384).decode("ascii", errors="replace")
    finally:
        os.close(descriptor)


def _fields(pid: int) -> list[str]:
    """What proc(5) says of ``/proc/<pid>/stat`` from the 3rd field on: the 2nd, a name, may hold anything up to its closing
    bracket."""
    text = _read(f"/proc/{pid}/stat")
    return text[text.rindex(")") + 2 :].split()


def _waited_for_s(fields: Sequence[str]) -> float:
    """CPU seconds of children that ended and were waited for, and of theirs: cutime and cstime, the 16th and 17th field."""
    return (int(fields[13]) + int(fields[14])) * _TICK_S


def _twice_bytes(pid: int) -> int | None:
    """Private memory of a process minus its share of it; None where the system does not say."""
    try:
        text = _read(f"/proc/{pid}/smaps_rollup")
    except OSError:  # it has ended, or belongs to somebody else
        return None
    resident, share = _kib(text, "Anonymous"), _kib(text, "Pss_Anon")
    return None if resident is None or share is None else max(0, resident - share)


def _kib(text: str, key: str) -> int | None:
    """Bytes of a line such as ``RssShmem:  18232 kB``; None if there is no such line."""
    for line in text.splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return None

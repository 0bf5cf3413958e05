"""CPU and memory of the database server, by its processes.

CPU is the live processes' own time and, so that what short-lived backends used is not lost, the time of those that ended, which
the kernel keeps with the postmaster that waited for them. Memory is the private memory of all processes and, once, the shared
memory, as far as the process that touched the most of it did (a lower bound: resident sizes would count it per backend,
and asking the kernel for the exact share of each page costs a hundred times as much).

On Linux a tick costs about 1 ms at 80 processes: of each two small files are read, of the postmaster three. Elsewhere psutil
says what it can; memory is then not measured, since private and shared cannot be told apart.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psutil

from harness.model import Sample
from harness.probes.probe import Unmeasured

GONE = "the server's main process has ended"
_RETRIES = 3  # readings during which a backend ended are taken again; three in a row would need a backend to end every millisecond
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_LABELS = {"name": "postgres"}


class Tree(Protocol):
    """A process and its children, on one operating system."""

    def cpu_s(self) -> float:
        """CPU seconds used since the process began, by it and by all children, also those that ended."""

    def memory_bytes(self) -> float | None:
        """Private memory of all and shared memory once; None where that cannot be told."""


class ProcessProbe:
    """CPU, memory and allotment of the server whose main process is ``pid``.

    :param cpus: cores that the server is allotted
    """

    name = "process"

    def __init__(self, pid: int, cpus: float) -> None:
        self._tree: Tree = LinuxTree(pid) if Path(f"/proc/{pid}/schedstat").exists() else PortableTree(pid)
        self._cpus = cpus
        self._highest_s = 0.0

    async def sample(self, at_s: float) -> list[Sample]:
        """``container_cpu_usage_seconds_total``, ``container_memory_working_set_bytes``, ``flashcrowd_cpu_allotment_cores``."""
        # The sources round differently, so that a process which ends may seem to give back a few milliseconds.
        self._highest_s = max(self._highest_s, self._tree.cpu_s())
        values: dict[str, float | None] = {
            "container_cpu_usage_seconds_total": self._highest_s,
            "container_memory_working_set_bytes": self._tree.memory_bytes(),
            "flashcrowd_cpu_allotment_cores": float(self._cpus),
        }
        return [
            Sample(at_s=at_s, metric=metric, value=value, labels=_LABELS)
            for metric, value in values.items()
            if value is not None
        ]

    async def close(self) -> None:
        """Nothing is held."""


class LinuxTree:
    """Reads /proc: CPU of the living to the nanosecond (``schedstat``), of those that ended to the clock tick."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._shared = 0

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
        for pid in (self._pid, *self._children()):
            with suppress(FileNotFoundError, ProcessLookupError):
                fields = _read(f"/proc/{pid}/statm").split()
                resident, shared = int(fields[1]), int(fields[2])
                private += resident - shared
                most = max(most, (shared, pid))
        # statm adds up shared memory and mapped files; the whole status, dearer, is only read of the process that leads.
        # The maximum is kept: pages stay when the process that touched them ends.
        with suppress(FileNotFoundError, ProcessLookupError):
            self._shared = max(self._shared, _shared_bytes(_read(f"/proc/{most[1]}/status")))
        return float(private * _PAGE + self._shared)

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
            return int(_read(f"/proc/{pid}/schedstat").split()[0]) / 1e9
        except (FileNotFoundError, ProcessLookupError):
            return 0.0  # ended just now: the next reading finds it among those that ended

    def _ended_s(self) -> float:
        try:
            text = _read(f"/proc/{self._pid}/stat")
        except (FileNotFoundError, ProcessLookupError) as error:
            raise Unmeasured(GONE) from error
        # proc(5): the name may hold anything, so count from its closing bracket, after which the 3rd field comes; the 16th and 17th are cutime and cstime
        fields = text[text.rindex(")") + 2 :].split()
        if fields[0] in "ZX":
            raise Unmeasured(GONE)
        return (int(fields[13]) + int(fields[14])) * _TICK_S


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


def _shared_bytes(status: str) -> int:
    for line in status.splitlines():
        if line.startswith("RssShmem:"):
            return int(line.split()[1]) * 1024
    return 0

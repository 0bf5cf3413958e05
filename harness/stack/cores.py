"""Which cores the server and which the load get.

The server gets the last cores and everything else, harness and load, the rest: what the generator burns is then never
taken from the database, and the share that the database burns of its cores means something. Where a system cannot hold
processes to cores (macOS), or there are too few of them, a note says what that does to the figures.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Who gets which cores.

    :param cpus: how many the server is allotted
    :param server: the cores that the server is held to; None: it is not held to any
    :param load: the cores for harness and load; None likewise
    """

    cpus: int
    server: tuple[int, ...] | None
    load: tuple[int, ...] | None
    notes: tuple[str, ...] = ()


def own_cores() -> tuple[int, ...] | None:
    """The cores that this process was given when it began; None where the system does not tell."""
    return _OWN


def split(cpus: int, own: tuple[int, ...] | None) -> Split:
    """Divide cores between a server that asks for ``cpus`` of them and the load.

    >>> split(1, (0, 1, 2)).server, split(1, (0, 1, 2)).load
    ((2,), (0, 1))
    """
    if own is None:
        note = (
            f"this system cannot hold processes to cores: the server may use more than its {cpus} and competes with "
            "the load for them, so its CPU share can exceed 100 % and response times include the load's own work"
        )
        return Split(cpus=cpus, server=None, load=None, notes=(note,))
    own = tuple(sorted(own))
    if cpus < len(own):
        return Split(cpus=cpus, server=own[-cpus:], load=own[:-cpus])
    wanted = f"{cpus} asked for" if cpus > len(own) else f"all {cpus}" if cpus > 1 else "only one"
    note = (
        f"server and load share the {len(own)} core(s) of this machine ({wanted}): "
        "the server's share of them stays below 100 % when the load is busy"
    )
    return Split(cpus=len(own), server=own, load=own, notes=(note,))


@contextmanager
def thread_held_to(cores: tuple[int, ...] | None) -> Iterator[None]:
    """Hold the calling thread to ``cores`` for a while: a process started meanwhile inherits them for its whole life."""
    if cores is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def process_held_to(cores: tuple[int, ...] | None) -> Iterator[None]:
    """Hold all threads of this process to ``cores`` for a while, and with them the processes that it starts later.

    Several stacks may be up in one process: its cores are given back when the last of them goes.
    """
    global _holders
    if cores is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    with _LOCK:
        _holders += 1
        _hold_threads(cores)
    try:
        yield
    finally:
        with _LOCK:
            _holders -= 1
            if _holders == 0 and _OWN is not None:
                _hold_threads(_OWN)


def _hold_threads(cores: tuple[int, ...]) -> None:
    for task in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):  # the thread ended since we listed it
            os.sched_setaffinity(int(task.name), cores)


_OWN: tuple[int, ...] | None = tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else None
_LOCK = threading.Lock()
_holders = 0

"""Which cores the server and which the load get.

The server gets the last cores and everything else, harness and load, the rest: what the generator burns is then never
taken from the database, and the share that the database burns of its cores means something. Where a system cannot hold
processes to cores (macOS), or there are too few of them, a note says what that does to the figures.

FLASHCROWD_CORES names other cores, or another order: the load gets the first, the servers the last.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from harness.errors import StackError, UsageError

#: Names the cores to be used, in their order, as taskset does: ``4-7``, ``1,0``.
NAMED = "FLASHCROWD_CORES"

_CANNOT_HOLD = "this system cannot hold processes to cores"
CANNOT_HOLD = f"{_CANNOT_HOLD}: run it with --stack docker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What one server gets.

    :param cpus: how many cores it is allotted
    :param cores: those that it is held to; None: it is not held to any
    :param notes: what that does to the figures
    """

    cpus: float
    cores: tuple[int, ...] | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Who gets which cores.

    :param servers: in the order in which they asked
    :param load: the cores for harness and load; None: any
    """

    servers: tuple[Held, ...]
    load: tuple[int, ...] | None


def own_cores() -> tuple[int, ...] | None:
    """The cores that this process was given when it began, of these the named ones in their order where any are named;
    None where the system does not tell.

    :raises UsageError: what names them names none that there are
    """
    text = os.environ.get(NAMED, "")
    if not text or _OWN is None:
        return _OWN
    own = tuple(core for core in _named(text) if core in _OWN)
    if not own:
        raise UsageError(f"{NAMED}={text}: none of these may be used by this process, which has {_listed(_OWN)}")
    return own


def _named(text: str) -> Iterator[int]:
    there = os.cpu_count() or 1
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or bool(dash) != last.isdecimal():
            raise UsageError(f"{NAMED}={text}: {part!r} is neither a core, such as 2, nor a range of them, such as 4-7")
        cores = range(int(first), int(last or first) + 1)
        if not cores or cores[-1] >= there:
            raise UsageError(f"{NAMED}={text}: {part!r} is not within this machine's cores, 0 to {there - 1}")
        yield from cores


def _listed(cores: Sequence[int]) -> str:
    return ", ".join(map(str, cores))


def split(asked: Sequence[float], own: tuple[int, ...] | None, *, quotas: bool = False) -> Split:
    """Divide cores between servers that ask for so many each, and the load.

    Servers have cores of their own where there are enough, and all share what is left beside one for the load where
    there are not; a server that asks for a part of a core gets a whole one.

    :param own: in their order: the load gets the first, the servers the last
    :param quotas: a server's time on its cores is limited as well, so that a part of a core is a part

    >>> both = split([1, 1], (0, 1, 2))
    >>> [held.cores for held in both.servers], both.load
    ([(1,), (2,)], (0,))
    >>> both = split([1, 1], (0, 1))
    >>> [held.cores for held in both.servers], both.load
    ([(1,), (1,)], (0,))
    >>> split([0.5], (0, 1), quotas=True).servers[0].cpus
    0.5
    """
    if quotas:
        whole = split([math.ceil(cpus) for cpus in asked], own)
        held = tuple(replace(one, cpus=min(cpus, one.cpus)) for cpus, one in zip(asked, whole.servers, strict=True))
        return replace(whole, servers=held)
    wanted = [math.ceil(cpus) for cpus in asked]
    if own is None:
        return Split(servers=tuple(Held(cpus=cpus, cores=None, notes=(_not_held(cpus),)) for cpus in wanted), load=None)
    if sum(wanted) < len(own):
        ends = list(accumulate(wanted))
        first = len(own) - ends[-1] if ends else len(own)
        parts = [_sorted(own[first + end - cpus : first + end]) for end, cpus in zip(ends, wanted, strict=True)]
        held = tuple(
            Held(cpus=len(part), cores=part, notes=_whole(cpus, part)) for cpus, part in zip(asked, parts, strict=True)
        )
        return Split(servers=held, load=_sorted(own[:first]))
    if max(wanted) < len(own):
        # Each gets what it asked for of the cores beside the load's, and competes with its neighbours there.
        room = own[1:]
        note = (
            f"{len(wanted)} servers that ask for {sum(wanted)} cores share {len(room)} of this machine: "
            "what one of them uses the others lack, and a server's share of its cores stays below 100 % meanwhile"
        )
        held = tuple(Held(cpus=cpus, cores=_sorted(room[-cpus:]), notes=(note,)) for cpus in wanted)
        return Split(servers=held, load=own[:1])
    most = max(wanted)
    said = f"{most} asked for" if most > len(own) else f"all {most}" if most > 1 else "only one"
    note = (
        f"server and load share the {len(own)} core(s) of this machine ({said}): "
        "the server's share of them stays below 100 % when the load is busy"
    )
    held = tuple(Held(cpus=min(cpus, len(own)), cores=_sorted(own), notes=(note,)) for cpus in wanted)
    return Split(servers=held, load=_sorted(own))


def _sorted(cores: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted(cores))


def others(cpus: float, given: Held, own: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """The cores for a server that is allotted another number of them while it runs: its own first, then its neighbours.

    :param own: those of this process; None: those that it was given when it began
    :raises StackError: this system cannot hold processes to cores, or has not so many

    >>> others(1, Held(cpus=2, cores=(2, 3)), (0, 1, 2, 3)), others(3, Held(cpus=2, cores=(2, 3)), (0, 1, 2, 3))
    ((3,), (1, 2, 3))
    """
    there = own or own_cores()
    if given.cores is None or there is None:
        raise StackError(CANNOT_HOLD)
    wanted = math.ceil(cpus)
    if not 0 < wanted <= len(there):
        raise StackError(f"{cpus:g} cores cannot be allotted: this machine gives 1 to {len(there)}")
    nearest = there[::-1]
    mine = [core for core in nearest if core in given.cores]
    return _sorted([*mine, *(core for core in nearest if core not in given.cores)][:wanted])


def joining(cpus: float, others: Sequence[float], own: tuple[int, ...] | None, *, quotas: bool = False) -> Held:
    """What a server gets that joins others while the load runs: cores before theirs, or those that all of them share.

    :param others: what the others were allotted
    :param quotas: as for :func:`split`

    >>> joining(1, [1], (0, 1, 2, 3)).cores, joining(1, [1, 1], (0, 1)).cores
    ((2,), (1,))
    """
    held = split([cpus, *others], own, quotas=quotas).servers[0]
    if not set(held.cores or ()) & set(split(others, own, quotas=quotas).load or ()):
        return held
    return replace(held, notes=(*held.notes, _LATE))


def _not_held(cpus: float) -> str:
    return (
        f"{_CANNOT_HOLD}: the server may use more than its {cpus:g} and competes with "
        "the load for them, so its CPU share can exceed 100 % and response times include the load's own work"
    )


def _whole(asked: float, part: tuple[int, ...]) -> tuple[str, ...]:
    if asked == len(part):
        return ()
    return (f"it asks for {asked:g} cores and is held to {len(part)}: a share of a core needs containers",)


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
        hold("self", cores)
    try:
        yield
    finally:
        with _LOCK:
            _holders -= 1
            if _holders == 0 and _OWN is not None:
                hold("self", _OWN)


def hold(pid: int | str, cores: tuple[int, ...]) -> None:
    """Hold all threads of a process to ``cores``, and with them those that it starts later."""
    wanted = set(cores)
    for _ in range(_PASSES):
        moved = False
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):  # the thread ended since we listed it
                if os.sched_getaffinity(int(task.name)) != wanted:
                    os.sched_setaffinity(int(task.name), cores)
                    moved = True
        if not moved:  # else one that was not yet moved may have started another since we listed them
            return


_OWN: tuple[int, ...] | None = tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else None
_LATE = "it joined a load that has its cores already: what it uses of them the load lacks"
_LOCK = threading.Lock()
_PASSES = 50
_holders = 0

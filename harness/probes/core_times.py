"""Times of the cores to which servers and the load are held, and what of the servers' cores others than they used.

A server that is held to cores has of them what nobody else uses. What cores did is in one small file of the kernel's. A core
was busy for the time that went by less what it was idle, waited for disks or was taken by the hypervisor: these three are
kept exactly, where the other modes are, with most kernels, what a timer saw a few hundred times a second. Others used what
is left of it without the servers' own processor time, which is read in the same tick.

Servers that share a core are one group: nobody can say whose neighbour it was. Of a group of which one server was not
measured nothing is said, since what it used would be taken for somebody else's. psutil reads the same file, but forgets which
core a line is about, which is not its place where a core is switched off.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.model import Sample

STAT = Path("/proc/stat")
#: The columns of a core's line, proc(5); what follows is guests' time, which is in the first two already.
MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
#: In these a core works for nobody here.
IDLE_MODES = ("idle", "iowait", "steal")
LOAD = "load"
#: By how much, for each core, servers may seem to have used more than it was busy before that is forgotten: clocks round, a
#: core's to hundredths of a second, and no two are read in the same microsecond. What is remembered is taken off what
#: comes next, so that a difference that only sways adds up to nothing.
MOST_OWED_S = 0.05
_MOST_BYTES = 1 << 18  # cores come first, and this is enough for thousands
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")

Cores = frozenset[int]
Times = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a server had used at this tick.

    :param pid: its main process, by which one that started again is told from what it was
    :param cpu_s: processor time since it began
    """

    pid: int
    cpu_s: float


class CoreTimes:
    """Counters of the cores of one run.

    :param load: the cores to which the load is held; None: any
    :param read: gives the times of every core in each mode, seconds since the machine started
    :param held: gives the cores that a process may run on; None: they cannot be told
    """

    def __init__(
        self,
        load: Iterable[int] | None,
        *,
        read: Callable[[], Mapping[int, Times]] | None = None,
        held: Callable[[int], Cores | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load: Cores = frozenset(load or ())
        self._read, self._held, self._clock = read or core_times, held or may_run_on, clock
        self._last_known: dict[str, Cores] = {}
        self._groups: dict[tuple[object, ...], _Group] = {}

    def samples(self, at_s: float, servers: Mapping[str, Used | None]) -> list[Sample]:
        """``node_cpu_seconds_total`` of the servers' and the load's cores; for each server, of the cores of its group,
        ``flashcrowd_core_others_seconds_total``, ``flashcrowd_core_steal_seconds_total`` and how many they are,
        ``flashcrowd_held_cores``; for the load ``flashcrowd_core_busy_seconds_total`` and the latter two. Label ``cores`` names them.

        :param servers: every server by its name; None: it was not measured at this tick
        """
        now_s, times = self._clock(), self._read()
        cores = self._cores_of(servers, everywhere=frozenset(times))
        load = self._load if self._load < times.keys() else frozenset()
        before, self._groups = self._groups, {}
        samples: list[Sample] = []
        for names, shared in sharing(cores):
            known = {name: used for name in names if (used := servers[name]) is not None}
            if len(known) == len(names):
                # Who is not the same any more begins anew at 0: the counter falls, and no rate is made of the two.
                key = (shared, *((name, used.pid) for name, used in known.items()))
                used_s = sum(used.cpu_s for used in known.values())
                others_s = self._counted(key, before, _busy_s(times, shared, now_s) - used_s, len(shared))
                for name in names:
                    samples += _of(name, at_s, times, shared, flashcrowd_core_others_seconds_total=others_s)
        if load:
            busy_s = self._counted((LOAD, load), before, _busy_s(times, load, now_s), len(load))
            samples += _of(LOAD, at_s, times, load, flashcrowd_core_busy_seconds_total=busy_s)
        for core in sorted(load.union(*cores.values())):
            samples += [
                Sample(at_s=at_s, metric="node_cpu_seconds_total", value=value, labels={"cpu": str(core), "mode": mode})
                for mode, value in times[core].items()
            ]
        return samples

    def _cores_of(self, servers: Mapping[str, Used | None], everywhere: Cores) -> dict[str, Cores]:
        """Of each server that is held to cores, which; of one that is down, which it was held to last."""
        for name, used in servers.items():
            cores = None if used is None else self._held(used.pid)
            if cores is not None:
                self._last_known[name] = cores
        found = {name: self._last_known[name] for name in servers if name in self._last_known}
        return {name: cores for name, cores in found.items() if cores < everywhere}

    def _counted(
        self, key: tuple[object, ...], before: Mapping[tuple[object, ...], _Group], value_s: float, cores: int
    ) -> float:
        group = self._groups[key] = before.get(key) or _Group(last_s=value_s)
        return group.counted(value_s, most_owed_s=MOST_OWED_S * cores)


@dataclass(slots=True, kw_only=True)
class _Group:
    """A difference of two clocks as a counter, which never goes back."""

    last_s: float
    total_s: float = 0.0
    owed_s: float = 0.0

    def counted(self, value_s: float, most_owed_s: float) -> float:
        gained_s = value_s - self.last_s - self.owed_s
        self.last_s = value_s
        self.total_s += max(0.0, gained_s)
        self.owed_s = min(max(0.0, -gained_s), most_owed_s)
        return self.total_s


def core_times() -> dict[int, Times]:
    """Times of each core in each mode, seconds since the machine started; empty where the system does not tell."""
    try:
        descriptor = os.open(STAT, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return {}
    try:
        return parsed(os.read(descriptor, _MOST_BYTES).decode("ascii", errors="replace"))
    finally:
        os.close(descriptor)


def parsed(text: str) -> dict[int, Times]:
    """The cores' lines of ``/proc/stat``.

    >>> parsed("cpu  9 9 9 9 9 9 9 9 9 9\\ncpu3 100 0 50 700 20 0 5 1 0 0\\nintr 7 0\\n")[3]["idle"]
    7.0
    """
    found: dict[int, Times] = {}
    for line in text.splitlines():
        name, *values = line.split()
        if not name.startswith("cpu"):
            break
        if name != "cpu":
            found[int(name[3:])] = {mode: int(value) * _TICK_S for mode, value in zip(MODES, values, strict=False)}
    return found


def may_run_on(pid: int) -> Cores | None:
    """The cores that a process may run on: its own choice, or what its control group leaves it; None where it cannot be told."""
    if hasattr(os, "sched_getaffinity"):
        with suppress(OSError):
            return frozenset(os.sched_getaffinity(pid))
    return None


def sharing(cores: Mapping[str, Cores]) -> list[tuple[tuple[str, ...], Cores]]:
    """Those who share a core with one another, and all cores that they have.

    >>> [(names, sorted(all_)) for names, all_ in sharing({"a": frozenset({1}), "b": frozenset({2, 3}), "c": frozenset({3})})]
    [(('a',), [1]), (('b', 'c'), [2, 3])]
    """
    groups: list[tuple[tuple[str, ...], Cores]] = []
    for name, own in sorted(cores.items()):
        joined = [group for group in groups if group[1] & own]
        groups = [group for group in groups if group not in joined]
        names = tuple(sorted([name, *(one for group in joined for one in group[0])]))
        groups.append((names, own.union(*(group[1] for group in joined))))
    return sorted(groups)


def _busy_s(times: Mapping[int, Times], cores: Cores, now_s: float) -> float:
    """How long all of these cores together worked, since a moment that is always the same."""
    return sum(now_s - sum(times[core][mode] for mode in IDLE_MODES) for core in cores)


def _of(name: str, at_s: float, times: Mapping[int, Times], cores: Cores, **values: float) -> list[Sample]:
    values["flashcrowd_core_steal_seconds_total"] = sum(times[core]["steal"] for core in cores)
    values["flashcrowd_held_cores"] = float(len(cores))
    labels = {"name": name, "cores": ",".join(map(str, sorted(cores)))}
    return [Sample(at_s=at_s, metric=metric, value=value, labels=labels) for metric, value in values.items()]

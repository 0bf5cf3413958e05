"""CPU and memory of every server of a stack, as cAdvisor names them, in one tick.

A server in a container is measured by its control group, which the kernel keeps for the container as a whole; one that is a
child process by its processes. Which process that is changes when a server starts again, so it is asked anew whenever it is
gone; a server that is down has no samples meanwhile, and the others go on. What else used the cores that they are held to is
read in the same tick (``core_times.py``), since it is a difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psutil

from harness.model import Sample
from harness.probes.controlgroup import GONE, ControlGroup
from harness.probes.core_times import CoreTimes, Used
from harness.probes.probe import Unmeasured
from harness.probes.process import Tree, tree_of
from harness.stack.stack import Footprint

#: By a server's name, how to ask where its CPU and memory are read now.
Footprints = Mapping[str, Callable[[], Footprint | None]]
CPU = "container_cpu_usage_seconds_total"


class UsageProbe:
    """CPU, memory, throttling and allotment of every server.

    :param servers: asked at every tick, since servers come and go
    :param primary: likewise which of them is the primary of the replica set now; None: none, or nobody knows
    :param cores: what cores did; None: not asked
    """

    name = "usage"

    def __init__(
        self,
        servers: Callable[[], Footprints],
        primary: Callable[[], str | None] = lambda: None,
        cores: CoreTimes | None = None,
    ) -> None:
        self._servers, self._primary, self._cores = servers, primary, cores
        self._known: dict[str, _Measured] = {}
        self._seen: set[str] = set()

    async def sample(self, at_s: float) -> list[Sample]:
        """``container_cpu_usage_seconds_total``, ``container_memory_working_set_bytes``, ``container_cpu_cfs_*``,
        ``container_spec_memory_limit_bytes``, ``container_oom_events_total``, ``flashcrowd_cpu_allotment_cores``; of a replica
        set's primary ``flashcrowd_primary_cpu_seconds_total``; and what :meth:`CoreTimes.samples` gives.

        :raises Unmeasured: none of the servers could be measured
        """
        servers, primary = self._servers(), self._primary()
        self._known = {name: known for name, known in self._known.items() if name in servers}
        samples: list[Sample] = []
        used: dict[str, Used | None] = dict.fromkeys(servers)
        why: Unmeasured | None = None
        for name, ask in servers.items():
            try:
                values = dict(await self._values(name, ask))
            except Unmeasured as error:
                why = why or error
                continue
            if name == primary:
                values["flashcrowd_primary_cpu_seconds_total"] = values.get(CPU)
            cpu_s = values.get(CPU)
            if cpu_s is not None:
                used[name] = Used(pid=self._known[name].footprint.pid, cpu_s=cpu_s)
            service = self._known[name].footprint.service if name in self._known else None
            labels = {"name": name} if service is None else {"name": name, "service": service}
            samples += [
                Sample(at_s=at_s, metric=metric, value=value, labels=labels)
                for metric, value in values.items()
                if value is not None
            ]
        if why is not None and not samples:
            raise why
        return samples if self._cores is None else [*samples, *self._cores.samples(at_s, used)]

    async def close(self) -> None:
        """Nothing is held."""

    async def _values(self, name: str, ask: Callable[[], Footprint | None]) -> Mapping[str, float | None]:
        known = self._known.get(name)
        if known is not None:
            try:
                return known.values(ask)
            except (Unmeasured, psutil.Error, OSError):
                del self._known[name]
        # A container engine may be asked for it, which takes its time.
        footprint = await asyncio.to_thread(ask)
        if footprint is None:
            if name in self._seen:
                raise Unmeasured(GONE)
            return {}
        known = self._known[name] = _Measured(footprint)
        self._seen.add(name)
        return known.values(ask)


@dataclass(slots=True)
class _Measured:
    """One server, as long as its main process is the same."""

    footprint: Footprint
    highest_s: float = 0.0
    group: ControlGroup | None = field(init=False)
    tree: Tree | None = field(init=False)

    def __post_init__(self) -> None:
        confined = self.footprint.confined
        self.group = ControlGroup.of(self.footprint.pid) if confined else None
        self.tree = None if confined else tree_of(self.footprint.pid, deep=self.footprint.service is not None)

    def values(self, ask: Callable[[], Footprint | None]) -> Mapping[str, float | None]:
        """:raises Unmeasured: the server's process is gone"""
        if self.group is not None:
            return self._of_group(self.group)
        assert self.tree is not None
        # The cores of a child process may be changed while it runs; no file says so, and asking costs nothing here.
        now = ask()
        if now is not None and now.pid != self.footprint.pid:
            raise Unmeasured("the server has another process")
        self.footprint = now or self.footprint
        # The sources round differently, so that a process which ends may seem to give back a few milliseconds.
        self.highest_s = max(self.highest_s, self.tree.cpu_s())
        return {
            CPU: self.highest_s,
            "container_memory_working_set_bytes": self.tree.memory_bytes(),
            "container_spec_memory_limit_bytes": self.footprint.memory_bytes,
            "flashcrowd_cpu_allotment_cores": self.footprint.cpus,
        }

    def _of_group(self, group: ControlGroup) -> Mapping[str, float | None]:
        counted = group.read()
        limit_bytes, cores = counted.limit_bytes, counted.quota_cores
        return {
            CPU: counted.cpu_s,
            "container_memory_working_set_bytes": counted.memory_bytes,
            "container_cpu_cfs_periods_total": counted.periods,
            "container_cpu_cfs_throttled_periods_total": counted.throttled_periods,
            "container_cpu_cfs_throttled_seconds_total": counted.throttled_s,
            "container_spec_memory_limit_bytes": self.footprint.memory_bytes if limit_bytes is None else limit_bytes,
            "container_oom_events_total": counted.oom_kills,
            "flashcrowd_cpu_allotment_cores": self.footprint.cpus if cores is None else cores,
        }

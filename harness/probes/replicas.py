"""The probes of all replicas, those included that join while a run goes on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from harness.probes.primary_log import PrimaryLog
from harness.probes.probe import FAILURES, Probe
from harness.probes.replication import ReplicaProbe, ReplicationProbe
from harness.stack.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What came since the last look.

    :param notes: what is not measured, and why
    """

    probes: tuple[Probe, ...] = ()
    notes: tuple[str, ...] = ()


class ReplicaProbes:
    """Has a probe for each replica that takes reads, or once did."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._log: PrimaryLog | None = None
        self._probes: dict[str, ReplicaProbe] = {}

    async def join(self) -> Joined:
        """Probes of the replicas that are new; with the first of them, the one of the primary's log. Connected where they
        can be: one that cannot makes a gap of its first ticks.
        """
        primary = self._stack.postgres
        new = [endpoint for endpoint in self._stack.replicas if endpoint.name not in self._probes]
        if not new or primary is None:
            return Joined()
        probes: list[Probe] = []
        notes: list[str] = []
        if self._log is None:
            self._log = PrimaryLog(primary)
            probes.append(ReplicationProbe(self._log))
            with suppress(*FAILURES):
                note = await self._log.open()
                notes += [note] if note is not None else []
        for endpoint in new:
            probe = self._probes[endpoint.name] = ReplicaProbe(endpoint, self._log)
            probes.append(probe)
            with suppress(*FAILURES):
                await probe.open()
        return Joined(probes=tuple(probes), notes=tuple(notes))

    async def close(self) -> None:
        """Close all of them."""
        for probe in self._probes.values():
            await probe.close()
        if self._log is not None:
            await self._log.close()

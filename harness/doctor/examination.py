"""Everything that is looked at, and whether a run is possible at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.doctor.clock import clocks
from harness.doctor.finding import Finding, State
from harness.doctor.machine import machine
from harness.doctor.servers import servers
from harness.doctor.software import software

#: One of these is enough for a run.
PROVIDERS = (("embedded PostgreSQL",), ("embedded MongoDB",), ("engine", "image postgres"), ("engine", "image mongo"))


def examine() -> Iterator[Finding]:
    """Look at each thing, in the order in which it is told."""
    yield from software()
    yield from machine()
    yield from clocks()
    yield from servers()


def impossible(findings: Iterable[Finding]) -> list[str]:
    """Why no run is possible; empty where one is."""
    found = {finding.name: finding for finding in findings}
    why = [f"{one.name}: {one.said}" for one in found.values() if one.fatal and one.state is State.MISSING]
    if not any(all(name in found and found[name].state is State.OK for name in names) for names in PROVIDERS):
        why.append("there is nothing to bring a server up from: neither binaries nor a Docker engine with an image")
    return why

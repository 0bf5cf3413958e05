"""What the probe of services makes of what the stack's supervisors wrote down."""

from __future__ import annotations

import asyncio
from pathlib import Path

from harness.probes.services import ServiceProbe
from harness.stack.services.service import ServiceEndpoint, StackEvent
from tests.unit.timeline.bed import Bed, FakeServer


def event(state: str, reason: str = "exit", server: str = "web-1") -> StackEvent:
    return StackEvent(at_ns=1, server=server, state=state, reason=reason, text="")


def sampled(bed: Bed, *events: StackEvent) -> dict[tuple[str, str], float]:
    names = ("web-1", "web-2")
    bed.stack.services = {
        "web": tuple(ServiceEndpoint(name=name, service="web", host="127.0.0.1", port=1) for name in names)
    }
    for name in names:
        bed.stack.servers.setdefault(name, FakeServer(name, bed.calls))
    bed.stack.events = events
    samples = asyncio.run(ServiceProbe(bed.stack).sample(2.0))
    assert {sample.labels["service"] for sample in samples} == {"web"}
    assert {sample.at_s for sample in samples} == {2.0}
    return {(sample.labels["name"], sample.labels.get("reason", "down")): sample.value for sample in samples}


def test_nothing_happened(tmp_path: Path) -> None:
    found = sampled(Bed(tmp_path))
    assert len(found) == 6
    assert set(found.values()) == {0.0}  # known to be none, so no criterion is unknown


def test_restarts_are_counted_by_instance_and_reason(tmp_path: Path) -> None:
    events = [event("crashed"), event("restarted"), event("crashed", "memory"), event("restarted", "memory")]
    events += [event("crashed", "memory", "web-2"), event("restarted", "memory", "web-2"), *events[2:4]]
    found = sampled(Bed(tmp_path), *events)
    assert (found["web-1", "exit"], found["web-1", "memory"]) == (1, 2)
    assert (found["web-2", "exit"], found["web-2", "memory"]) == (0, 1)


def test_who_crashed_is_down_until_it_is_started_again(tmp_path: Path) -> None:
    bed = Bed(tmp_path)
    assert sampled(bed, event("crashed"))["web-1", "down"] == 1
    assert sampled(bed, event("crashed"), event("restarted"))["web-1", "down"] == 0
    bed.server("web-2").kill()
    assert sampled(bed)["web-2", "down"] == 1

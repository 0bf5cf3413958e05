"""One tick for all servers: who is gone is left out, who came back is asked anew."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.probes import usage
from harness.probes.probe import Unmeasured
from harness.probes.usage import UsageProbe
from harness.stack.stack import Footprint

CPU = "container_cpu_usage_seconds_total"
CORES = "flashcrowd_cpu_allotment_cores"


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as closing:
        yield closing


def _idle(processes: ExitStack) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    processes.callback(process.wait)
    processes.callback(process.kill)
    assert process.stdin is not None
    processes.callback(process.stdin.close)
    return process


def _footprint(pid: int, cpus: float | None = 1.0) -> Footprint:
    return Footprint(pid=pid, confined=False, cpus=cpus)


async def _by_server(probe: UsageProbe, metric: str) -> dict[str, float]:
    return {one.labels["name"]: one.value for one in await probe.sample(1.0) if one.metric == metric}


async def test_each_server_has_samples_of_its_own(processes: ExitStack) -> None:
    pids = {"postgres": os.getpid(), "mongo-1": _idle(processes).pid}
    probe = UsageProbe(lambda: {name: lambda pid=pid: _footprint(pid) for name, pid in pids.items()})  # type: ignore[misc]
    found = await _by_server(probe, CPU)
    assert set(found) == set(pids)
    assert found["postgres"] > found["mongo-1"]


async def test_a_server_that_is_gone_leaves_the_others_alone(processes: ExitStack) -> None:
    gone = _idle(processes)
    probe = UsageProbe(lambda: {"a": lambda: _footprint(gone.pid), "b": lambda: _footprint(os.getpid())})
    assert set(await _by_server(probe, CPU)) == {"a", "b"}
    gone.kill()
    gone.wait()
    assert set(await _by_server(probe, CPU)) == {"b"}


async def test_a_server_that_came_back_is_another_process(processes: ExitStack) -> None:
    now = _idle(processes)
    probe = UsageProbe(lambda: {"mongo-1": lambda: _footprint(now.pid)})
    assert "mongo-1" in await _by_server(probe, CPU)
    now.kill()
    now.wait()
    with pytest.raises(Unmeasured, match="ended"):
        await probe.sample(1.0)
    now = _idle(processes)
    assert "mongo-1" in await _by_server(probe, CPU)


async def test_servers_come_and_go(processes: ExitStack) -> None:
    servers = {"postgres": lambda: _footprint(os.getpid())}
    probe = UsageProbe(lambda: servers)
    assert set(await _by_server(probe, CPU)) == {"postgres"}
    servers["postgres-replica-1"] = lambda: _footprint(os.getppid())
    assert set(await _by_server(probe, CPU)) == {"postgres", "postgres-replica-1"}
    del servers["postgres"]
    assert set(await _by_server(probe, CPU)) == {"postgres-replica-1"}


async def test_cores_that_are_allotted_anew_are_seen() -> None:
    cpus = 1.0
    probe = UsageProbe(lambda: {"postgres": lambda: _footprint(os.getpid(), cpus)})
    assert await _by_server(probe, CORES) == {"postgres": 1.0}
    cpus = 2.0
    assert await _by_server(probe, CORES) == {"postgres": 2.0}


async def test_the_primary_is_who_is_it_now() -> None:
    primary: str | None = "mongo-1"
    asked = {name: lambda: _footprint(os.getpid()) for name in ("mongo-1", "mongo-2")}
    probe = UsageProbe(lambda: asked, lambda: primary)
    found = await _by_server(probe, "flashcrowd_primary_cpu_seconds_total")
    assert set(found) == {"mongo-1"}
    primary = "mongo-2"
    assert set(await _by_server(probe, "flashcrowd_primary_cpu_seconds_total")) == {"mongo-2"}
    primary = None
    assert await _by_server(probe, "flashcrowd_primary_cpu_seconds_total") == {}


async def test_where_nothing_can_be_read_nothing_is_said() -> None:
    probe = UsageProbe(lambda: {"postgres": lambda: None})
    assert await probe.sample(1.0) == []


async def test_a_server_that_was_there_and_has_no_process_any_more_is_a_gap(processes: ExitStack) -> None:
    process = _idle(processes)
    probe = UsageProbe(lambda: {"postgres": lambda: None if process.poll() is not None else _footprint(process.pid)})
    assert set(await _by_server(probe, CPU)) == {"postgres"}
    process.kill()
    process.wait()
    for _ in range(2):
        with pytest.raises(Unmeasured, match="ended"):
            await probe.sample(1.0)


async def test_the_counter_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([5.0, 4.99, 5.5])
    monkeypatch.setattr(type(usage.tree_of(os.getpid())), "cpu_s", lambda self: next(readings))
    probe = UsageProbe(lambda: {"postgres": lambda: _footprint(os.getpid())})
    assert [(await _by_server(probe, CPU))["postgres"] for _ in range(3)] == [5.0, 5.0, 5.5]

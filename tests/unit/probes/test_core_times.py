"""What others used of the servers' cores: a difference of two clocks, of which nothing is said where it would not be true."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil
import pytest

from harness.probes import core_times
from harness.probes.core_times import MODES, CoreTimes, Used, parsed
from harness.probes.usage import UsageProbe
from harness.stack.stack import Footprint

OTHERS = "flashcrowd_core_others_seconds_total"
STEAL = "flashcrowd_core_steal_seconds_total"
BUSY = "flashcrowd_core_busy_seconds_total"
CORES = "flashcrowd_held_cores"
RAW = "node_cpu_seconds_total"


@dataclass
class Machine:
    """Four cores whose times a test sets, and servers that are held to some of them."""

    now_s: float = 1000.0
    idle_s: dict[int, float] = field(default_factory=lambda: dict.fromkeys(range(4), 500.0))
    steal_s: dict[int, float] = field(default_factory=lambda: dict.fromkeys(range(4), 0.0))
    held: dict[int, set[int]] = field(default_factory=dict)

    def asked(self, load: tuple[int, ...] | None = None) -> CoreTimes:
        return CoreTimes(
            load,
            read=lambda: {
                core: {**dict.fromkeys(MODES, 0.0), "idle": idle_s, "steal": self.steal_s[core]}
                for core, idle_s in self.idle_s.items()
            },
            held=lambda pid: frozenset(self.held[pid]) if pid in self.held else None,
            clock=lambda: self.now_s,
        )

    def goes_on(self, seconds: float = 1.0, **busy_s: float) -> None:
        """Let time pass; ``core3=0.25`` worked so long of it, the others not at all."""
        self.now_s += seconds
        for core in self.idle_s:
            self.idle_s[core] += seconds - busy_s.get(f"core{core}", 0.0)


def by_name(asked: CoreTimes, metric: str, servers: Mapping[str, Used | None]) -> dict[str, float]:
    found = {one.labels.get("name", ""): one.value for one in asked.samples(1.0, servers) if one.metric == metric}
    return {name: pytest.approx(value, abs=1e-6) for name, value in found.items()}


def used(cpu_s: float, pid: int = 1) -> Used:
    return Used(pid=pid, cpu_s=cpu_s)


def test_others_have_what_the_server_has_not() -> None:
    machine = Machine(held={1: {2, 3}})
    asked = machine.asked()
    assert by_name(asked, OTHERS, {"postgres": used(40.0)}) == {"postgres": 0.0}
    machine.goes_on(core2=0.9, core3=0.4)
    machine.steal_s[3] += 0.2
    assert by_name(asked, OTHERS, {"postgres": used(40.5)}) == {"postgres": 0.6}, "what is stolen nobody used"
    assert by_name(asked, CORES, {"postgres": used(40.5)}) == {"postgres": 2.0}
    assert by_name(asked, STEAL, {"postgres": used(40.5)}) == {"postgres": 0.2}


def test_clocks_that_sway_add_up_to_nothing_and_the_counter_never_goes_back() -> None:
    machine = Machine(held={1: {3}})
    asked = machine.asked()
    server_s, seen = 0.0, []
    for tick in range(40):
        seen.append(asked.samples(1.0, {"postgres": used(server_s + (0.02 if tick % 2 else -0.02))})[0].value)
        machine.goes_on(core3=0.8)
        server_s += 0.8
    assert seen == sorted(seen)
    assert seen[-1] <= 0.04 + 1e-6, "as far as the clocks ever were apart"


def test_a_server_that_seems_to_use_more_than_there_is_hides_little_of_what_comes_later() -> None:
    machine = Machine(held={1: {3}})
    asked = machine.asked()
    asked.samples(1.0, {"postgres": used(0.0)})
    machine.goes_on(core3=0.5)
    assert by_name(asked, OTHERS, {"postgres": used(2.5)}) == {"postgres": 0.0}
    machine.goes_on(core3=0.5)
    assert by_name(asked, OTHERS, {"postgres": used(2.5)}) == {"postgres": 0.5 - core_times.MOST_OWED_S}


def test_servers_that_share_a_core_are_no_strangers_to_each_other() -> None:
    machine = Machine(held={1: {3}, 2: {2, 3}, 3: {1}})
    asked = machine.asked()
    servers = {"mongo-1": used(1.0), "mongo-2": used(1.0, 2), "postgres": used(1.0, 3)}
    asked.samples(1.0, servers)
    machine.goes_on(core1=0.5, core2=0.3, core3=1.0)
    servers = {"mongo-1": used(1.6), "mongo-2": used(1.5, 2), "postgres": used(1.1, 3)}
    assert by_name(asked, OTHERS, servers) == {"mongo-1": 0.2, "mongo-2": 0.2, "postgres": 0.4}
    assert by_name(asked, CORES, servers) == {"mongo-1": 2.0, "mongo-2": 2.0, "postgres": 1.0}


def test_while_a_server_is_not_measured_nothing_is_said_of_its_cores() -> None:
    machine = Machine(held={1: {3}, 2: {3}, 3: {2}})
    asked = machine.asked()
    asked.samples(1.0, {"mongo-1": used(1.0), "mongo-2": used(1.0, 2), "postgres": used(1.0, 3)})
    assert set(by_name(asked, OTHERS, {"mongo-1": used(1.0), "mongo-2": None, "postgres": used(1.0, 3)})) == {
        "postgres"
    }


@pytest.mark.parametrize("change", ["another process", "other cores and back"])
def test_what_is_not_the_same_any_more_makes_no_rate_with_what_it_was(change: str) -> None:
    machine = Machine(held={1: {3}, 2: {3}})
    asked = machine.asked()
    asked.samples(1.0, {"postgres": used(5.0)})
    machine.goes_on(core3=0.7)
    assert by_name(asked, OTHERS, {"postgres": used(5.0)}) == {"postgres": 0.7}
    if change == "another process":
        after = used(0.2, 2)
    else:
        machine.held[1] = {2}
        assert by_name(asked, OTHERS, {"postgres": used(5.0)}) == {"postgres": 0.0}
        machine.held[1] = {3}
        after = used(5.2)
    machine.goes_on(core3=0.7)
    assert by_name(asked, OTHERS, {"postgres": after}) == {"postgres": 0.0}, "a fall, of which no rate is made"
    machine.goes_on(core3=0.7)
    assert by_name(asked, OTHERS, {"postgres": Used(pid=after.pid, cpu_s=after.cpu_s + 0.6)}) == {"postgres": 0.1}


@pytest.mark.parametrize(
    "machine",
    [
        pytest.param(Machine(held={1: {0, 1, 2, 3}}), id="a server that may run anywhere"),
        pytest.param(Machine(), id="a process whose cores nobody tells"),
        pytest.param(Machine(held={1: {3}}, idle_s={}), id="a system that tells nothing of its cores"),
    ],
)
def test_what_cannot_be_measured_is_absent(machine: Machine) -> None:
    asked = machine.asked(load=(0,) if not machine.idle_s else None)
    assert asked.samples(1.0, {"postgres": used(1.0)}) == []
    assert asked.samples(1.0, {"postgres": None}) == []


def test_the_cores_of_the_load() -> None:
    machine = Machine()
    asked = machine.asked(load=(0, 1))
    asked.samples(1.0, {})
    machine.goes_on(core0=0.5, core1=0.25)
    machine.steal_s[1] += 0.25
    assert by_name(asked, BUSY, {}) == {"load": 0.5}
    assert by_name(asked, STEAL, {}) == {"load": 0.25}
    assert by_name(asked, CORES, {}) == {"load": 2.0}
    assert by_name(machine.asked(load=(0, 1, 2, 3)), BUSY, {}) == {}, "a load that may run anywhere"


def test_raw_times_are_those_of_the_cores_that_somebody_is_held_to() -> None:
    machine = Machine(held={1: {3}})
    found = [one for one in machine.asked(load=(0,)).samples(1.0, {"postgres": used(1.0)}) if one.metric == RAW]
    assert {one.labels["cpu"] for one in found} == {"0", "3"}
    assert [one.labels["mode"] for one in found if one.labels["cpu"] == "3"] == list(MODES)
    [idle] = [one.value for one in found if one.labels == {"cpu": "3", "mode": "idle"}]
    assert idle == 500.0


def test_a_core_that_is_switched_off_gives_its_number_to_no_other() -> None:
    text = "cpu  5 5 5 5 5 5 5 5 5 5\ncpu0 1 0 0 9 0 0 0 0 0 0\ncpu2 3 0 0 7 0 0 0 2 0 0\nintr 1 2 3\ncpu9 1\n"
    found = parsed(text)
    assert set(found) == {0, 2}
    assert found[2]["steal"] == 2 * found[0]["user"]


@pytest.mark.skipif(not core_times.STAT.exists(), reason="this system does not tell what its cores did")
def test_it_is_what_psutil_reads() -> None:
    before, own, after = psutil.cpu_times(percpu=True), core_times.core_times(), psutil.cpu_times(percpu=True)
    assert len(own) == len(before) == len(after)
    for low, found, high in zip(before, own.values(), after, strict=True):
        for mode in ("user", "system", "idle", "steal"):
            assert getattr(low, mode) - 0.01 <= found[mode] <= getattr(high, mode) + 0.01


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system holds nothing to cores")
def test_the_cores_of_a_process_that_has_ended_are_not_known() -> None:
    assert core_times.may_run_on(os.getpid()) == os.sched_getaffinity(0)
    assert core_times.may_run_on(2**22 + 1) is None


async def test_the_tick_that_measures_the_servers_measures_their_cores() -> None:
    machine = Machine(held={os.getpid(): {3}})
    servers = {
        "postgres": lambda: Footprint(pid=os.getpid(), confined=False, cpus=1.0),
        "postgres-replica-1": lambda: None,
    }
    samples = await UsageProbe(lambda: servers, cores=machine.asked()).sample(2.5)  # type: ignore[arg-type,return-value]
    assert {one.labels["name"] for one in samples if one.metric == OTHERS} == {"postgres"}
    assert {one.at_s for one in samples} == {2.5}

"""Each thing that is looked at: when it is well, when it is not, and that there is something to do about it then."""

from __future__ import annotations

import resource
from importlib.metadata import version
from pathlib import Path

import pytest

from harness.doctor import Finding, State, impossible, servers
from harness.doctor import clock as clocks
from harness.doctor import machine as machines
from harness.doctor import software as softwares

GIB = 1024**3


@pytest.mark.parametrize(
    ("finding", "state", "said"),
    [
        pytest.param(machines.own_cores((0, 1), 2), State.OK, "2 of 2", id="two cores"),
        pytest.param(machines.own_cores((3,), 8), State.WARNING, "take it from each other", id="one core"),
        pytest.param(machines.own_cores(None, 8), State.WARNING, "cannot hold", id="no affinity"),
        pytest.param(machines.memory(8 * GIB, 16 * GIB), State.OK, "8.0 GiB", id="memory"),
        pytest.param(machines.memory(GIB, 16 * GIB), State.WARNING, "1.0 GiB", id="little memory"),
        pytest.param(machines.descriptors(1024), State.WARNING, "1,024", id="few descriptors"),
        pytest.param(machines.descriptors(20_000), State.OK, "20,000", id="descriptors"),
        pytest.param(machines.descriptors(resource.RLIM_INFINITY), State.OK, "any number", id="no limit"),
        pytest.param(machines.kernel("linux", "6.12.0-1-amd64"), State.OK, "short slices", id="new kernel"),
        pytest.param(machines.kernel("linux", "6.1.0-13-amd64"), State.WARNING, "6.12 and later", id="old kernel"),
        pytest.param(machines.kernel("darwin", "24.1.0"), State.WARNING, "no Linux", id="no Linux"),
        pytest.param(clocks.monotonic("tsc", 5e-8, 1e-9), State.OK, "50 ns of tsc", id="clock"),
        pytest.param(clocks.monotonic("hpet", 7e-7, 1e-9), State.WARNING, "of hpet", id="slow clock"),
        pytest.param(clocks.monotonic(None, 0.015, 0.015), State.WARNING, "15,000,000 ns", id="coarse clock"),
        pytest.param(clocks.monotonic(None, float("inf"), 1e-9), State.WARNING, "no step seen", id="clock that stands"),
        pytest.param(clocks.wall(True), State.OK, "kept right", id="NTP"),
        pytest.param(clocks.wall(False), State.WARNING, "nothing keeps", id="no NTP"),
        pytest.param(clocks.wall(None), State.OK, "does not tell", id="NTP unknown"),
        pytest.param(softwares.packages([f"psutil=={version('psutil')}"]), State.OK, "1, as pinned", id="package"),
        pytest.param(softwares.packages(["psutil==0.0.1"]), State.WARNING, "instead of 0.0.1", id="other package"),
        pytest.param(softwares.packages(["no-such-thing[fast]==1.0"]), State.MISSING, "no-such-thing", id="no package"),
        pytest.param(softwares.packages(["gone==1; extra == 'dev'"]), State.OK, "0, as", id="a developer's package"),
    ],
)
def test_states(finding: Finding, state: State, said: str) -> None:
    assert finding.state is state
    assert said in finding.said
    assert bool(finding.advice) is (state is not State.OK)


def test_local_ports(tmp_path: Path) -> None:
    file = tmp_path / "range"
    file.write_text("32768\t60999\n")
    assert machines.ports(file).said == "28,232 local ports (32768 to 60999)"
    file.write_text("40000\t40999\n")
    few = machines.ports(file)
    assert (few.state, "ip_local_port_range" in few.advice) == (State.WARNING, True)
    assert machines.ports(tmp_path / "none").state is State.OK


def test_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "not" / "there" / "yet"
    assert machines.disk("disk for runs", deep).said.endswith(f"are free at {deep}")
    monkeypatch.setattr(machines, "ENOUGH_DISK", 2**62)
    assert machines.disk("disk for runs", deep).state is State.WARNING
    monkeypatch.setattr(machines, "LEAST_DISK", 2**62)
    full = machines.disk("disk for datasets", deep)
    assert (full.state, full.fatal, "FLASHCROWD_CACHE" in full.advice) == (State.MISSING, True, True)
    file = tmp_path / "file"
    file.touch()
    assert "cannot be written" in machines.disk("disk for servers", file / "below").said
    assert not deep.exists(), "looking changes nothing"


def test_the_clock_is_measured() -> None:
    assert 0 < clocks.smallest_step_s() < 0.1


def test_own_servers_are_named_without_their_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASHCROWD_EXTERNAL_POSTGRES", "postgresql://me:Rumpelstilz@db/shop")
    found = servers.own_servers()
    assert (found.state, found.said) == (State.OK, "me@db:5432/shop")
    monkeypatch.setenv("FLASHCROWD_EXTERNAL_POSTGRES", "postgresql://me:Rumpelstilz@/shop")
    found = servers.own_servers()
    assert found.state is State.MISSING and "Rumpel" not in found.said


def finding(name: str, state: State, *, fatal: bool = False) -> Finding:
    """A finding of that name."""
    return Finding(name=name, state=state, said="so it is", fatal=fatal)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        pytest.param([finding("embedded PostgreSQL", State.OK)], 0, id="binaries"),
        pytest.param([finding("engine", State.OK), finding("image postgres", State.OK)], 0, id="engine"),
        pytest.param([finding("engine", State.OK), finding("image postgres", State.WARNING)], 1, id="no image"),
        pytest.param([], 1, id="nothing"),
        pytest.param(
            [finding("embedded PostgreSQL", State.OK), finding("packages", State.MISSING, fatal=True)], 1, id="package"
        ),
        pytest.param([finding("embedded PostgreSQL", State.OK), finding("engine", State.MISSING)], 0, id="no engine"),
    ],
)
def test_when_no_run_is_possible(found: list[Finding], why: int) -> None:
    assert len(impossible(found)) == why

"""What the timeline does to any server that is a child process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from harness.errors import StackError
from harness.stack import cores, family
from harness.stack.cores import Held
from harness.stack.embedded.child import Child
from harness.stack.stack import Role

OWN = tuple(sorted(cores.own_cores() or ()))
can_hold = pytest.mark.skipif(len(OWN) < 2, reason="needs two cores, and a system that holds processes to cores")


@pytest.fixture(autouse=True)
def _in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever order the cores are to be used in elsewhere."""
    monkeypatch.delenv(cores.NAMED, raising=False)


class Sleeper(Child):
    """A server that does nothing; down while it has no process."""

    def __init__(self, held: Held) -> None:
        super().__init__(name="sleeper", role=Role.WRITER, held=held)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return None if self.process is None else self.process.pid

    def revive(self) -> None:
        self._hold(self._given)


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """One that was given the last core, but is not held to it yet."""
    server = Sleeper(Held(cpus=1, cores=OWN[-1:] or None))
    with subprocess.Popen(["sleep", "60"]) as server.process:
        yield server
        family.kill(server.process.pid)


@can_hold
def test_it_is_moved_to_as_many_cores_and_back(sleeper: Sleeper) -> None:
    assert sleeper.pid is not None
    sleeper.set_cpus(2)
    assert os.sched_getaffinity(sleeper.pid) == set(OWN[-2:])
    assert (sleeper.held.cpus, sleeper.held.cores) == (2, OWN[-2:])
    footprint = sleeper.footprint()
    assert footprint is not None
    assert (footprint.pid, footprint.cpus, footprint.confined) == (sleeper.pid, 2, False)
    sleeper.revive()
    assert os.sched_getaffinity(sleeper.pid) == {OWN[-1]}
    assert sleeper.held == Held(cpus=1, cores=OWN[-1:])


@can_hold
def test_what_is_allotted_while_it_is_down_is_for_when_it_runs() -> None:
    down = Sleeper(Held(cpus=1, cores=OWN[-1:]))
    assert down.footprint() is None
    down.set_cpus(2)
    assert (down.held.cpus, down.held.cores) == (2, OWN[-2:])


@can_hold
def test_one_that_shares_all_cores_gets_its_allotment_back() -> None:
    """Its allotment may be less than the cores that it is held to."""
    given = Held(cpus=1, cores=OWN)
    down = Sleeper(given)
    down.set_cpus(len(OWN))
    assert down.held == Held(cpus=len(OWN), cores=OWN)
    down.revive()
    assert down.held == given


@can_hold
@pytest.mark.parametrize("cpus", [0.5, 0, len(OWN) + 1])
def test_what_it_cannot_be_given(cpus: float, sleeper: Sleeper) -> None:
    with pytest.raises(StackError, match="cores"):
        sleeper.set_cpus(cpus)
    assert sleeper.held.cpus == 1


def test_a_system_that_cannot_hold_is_told_before_the_load_begins() -> None:
    free = Sleeper(Held(cpus=1, cores=None))
    assert free.why_not("set_cpus") == cores.CANNOT_HOLD
    with pytest.raises(StackError, match="--stack docker"):
        free.set_cpus(1)


@pytest.mark.parametrize("action", ["cut_off", "rejoin"])
def test_it_cannot_be_cut_off(action: str) -> None:
    server = Sleeper(Held(cpus=1, cores=(0,)))
    assert "--stack docker" in str(server.why_not(action))
    with pytest.raises(StackError, match="sleeper cannot be cut off"):
        getattr(server, action)()
    assert server.why_not("pause") is None

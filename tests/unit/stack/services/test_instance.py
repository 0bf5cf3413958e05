"""The supervisor of an instance, on a node that lives and dies as the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.errors import StackError
from harness.model import Service
from harness.stack.cores import Held
from harness.stack.services.instance import ServiceInstance
from harness.stack.services.service import ServiceEndpoint, StackEvent
from harness.stack.stack import Footprint

PATIENCE_S = 30
ENDPOINT = ServiceEndpoint(name="web-1", service="web", host="127.0.0.1", port=None)
HELD = Held(cpus=1, cores=None)


@dataclass
class FakeNode:
    """Lives once it was started; dies when ``died`` is set.

    :ivar unseen: whether nobody tells how it is
    :ivar looks: how often the supervisor has looked; ``looked`` wakes who waits for the next time
    """

    died: str | None = None
    starts: int = 0
    fails: bool = False
    removed: bool = False
    down_on_purpose: bool = False
    looks: int = 0
    unseen: bool = False
    looked: threading.Condition = field(default_factory=threading.Condition)

    def look(self) -> str | None:
        with self.looked:
            self.looks += 1
            self.looked.notify_all()
        if self.unseen:
            raise StackError("the engine does not answer")
        return None if self.down_on_purpose else self.died

    def start(self) -> None:
        self.starts += 1
        if self.fails:
            raise StackError("no room")
        self.died, self.down_on_purpose = None, False

    def kill(self) -> None:
        self.down_on_purpose, self.died = True, "killed"

    def remove(self) -> None:
        self.removed = True

    def footprint(self) -> Footprint | None:
        return Footprint(pid=1, confined=False, cpus=1)

    def await_looks(self, count: int) -> None:
        """Until the supervisor has looked so often again."""
        with self.looked:
            wanted = self.looks + count
            assert self.looked.wait_for(lambda: self.looks >= wanted, PATIENCE_S)


@dataclass
class FakePlace:
    """Gives the one node."""

    log_file: Path
    node: FakeNode = field(default_factory=FakeNode)
    environments: list[Mapping[str, str]] = field(default_factory=list)
    endpoint: ServiceEndpoint = ENDPOINT
    held: Held = HELD
    host: str = "127.0.0.1"
    folder: str = "/work"

    def make(self, environment: Mapping[str, str]) -> FakeNode:
        self.environments.append(environment)
        return self.node


@dataclass
class Recorder:
    """Keeps events; wakes who waits for the next."""

    events: list[StackEvent] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, event: StackEvent) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def await_events(self, count: int) -> list[StackEvent]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.events) >= count, PATIENCE_S)
            return list(self.events)


Up = Callable[..., ServiceInstance]


@pytest.fixture
def place(tmp_path: Path) -> FakePlace:
    return FakePlace(log_file=tmp_path / "service.log")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def up(place: FakePlace, recorder: Recorder) -> Iterator[Up]:
    """An instance that is up and looked after."""
    begun: list[ServiceInstance] = []

    def begin(restart_after_s: float | None = 0.0) -> ServiceInstance:
        service = Service(name="web", command=("web",), listens=False, restart_after_s=restart_after_s)
        begun.append(ServiceInstance(service, place, recorder))
        begun[-1].begin({"A": "1"})
        begun[-1].await_ready()
        begun[-1].supervise()
        return begun[-1]

    yield begin
    for instance in begun:
        instance.end()


def test_what_crashed_is_started_again_and_both_is_told(up: Up, place: FakePlace, recorder: Recorder) -> None:
    instance = up()
    place.node.died = "web-1 ended with exit status 3; its last lines:\n    for want of memory"
    crashed, restarted = recorder.await_events(2)
    assert (crashed.state, crashed.reason, crashed.text) == ("crashed", "exit", "web-1 ended with exit status 3")
    assert (restarted.state, restarted.reason, restarted.server) == ("restarted", "exit", "web-1")
    assert restarted.at_ns >= crashed.at_ns
    assert place.node.starts == 2
    assert instance.how_it_died() is None
    place.node.died = "web-1 was killed for want of memory: it used more"
    assert [event.reason for event in recorder.await_events(4)[2:]] == ["memory", "memory"]


def test_without_a_restart_its_end_is_told(up: Up, place: FakePlace, recorder: Recorder) -> None:
    instance = up(None)
    place.node.died = "web-1 ended with exit status 3; its last lines:\n    it said so"
    (crashed,) = recorder.await_events(1)
    assert crashed.state == "crashed"
    instance.end()  # whatever the supervisor had to say is said
    assert instance.how_it_died() == "web-1 ended with exit status 3; its last lines:\n    it said so"
    assert place.node.starts == 1


def test_what_was_ended_on_purpose_is_left_alone(up: Up, place: FakePlace, recorder: Recorder) -> None:
    instance = up()
    instance.kill()
    place.node.await_looks(3)
    assert place.node.starts == 1
    instance.start()
    place.node.await_looks(3)
    assert place.node.starts == 2
    assert recorder.events == []


def test_an_end_on_purpose_while_it_waits_for_its_restart_prevents_that(
    up: Up, place: FakePlace, recorder: Recorder
) -> None:
    up(0.5)
    place.node.died = "web-1 ended with exit status 1"
    recorder.await_events(1)
    place.node.down_on_purpose = True
    place.node.await_looks(3)
    assert place.node.starts == 1
    assert len(recorder.events) == 1


def test_one_that_cannot_be_started_again_is_told(up: Up, place: FakePlace, recorder: Recorder) -> None:
    instance = up()
    place.node.fails = True
    place.node.died = "web-1 ended with exit status 1"
    recorder.await_events(1)
    assert instance._supervisor is not None
    instance._supervisor.join(PATIENCE_S)
    assert instance.how_it_died() == "web-1 could not be started again: no room"


def test_one_of_which_nobody_tells_how_it_is_is_told(up: Up, place: FakePlace, recorder: Recorder) -> None:
    instance = up()
    place.node.unseen = True
    (crashed,) = recorder.await_events(1)
    assert crashed.text == "the engine does not answer"
    assert instance._supervisor is not None
    instance._supervisor.join(PATIENCE_S)
    assert instance.how_it_died() == "web-1 could not be started again: the engine does not answer"
    assert place.node.starts == 1


def test_it_ends_at_once_while_it_waits_for_its_restart(up: Up, place: FakePlace, recorder: Recorder) -> None:
    instance = up(3600.0)
    place.node.died = "web-1 ended with exit status 1"
    recorder.await_events(1)
    instance.end()
    assert place.node.removed
    assert place.node.starts == 1


def test_each_beginning_is_a_new_one(up: Up, place: FakePlace) -> None:
    instance = up(None)
    place.log_file.write_text("of the time before")
    place.node.died = "web-1 ended with exit status 1"
    instance.begin({"A": "2"})
    assert instance.how_it_died() is None
    assert not place.log_file.exists()
    assert place.environments == [{"A": "1"}, {"A": "2"}]
    found = instance.footprint()
    assert found is not None
    assert found.service == "web"


def test_what_is_not_up_says_so(place: FakePlace, recorder: Recorder) -> None:
    instance = ServiceInstance(Service(name="web", command=("web",)), place, recorder)
    assert instance.footprint() is None
    assert not instance.down_on_purpose
    with pytest.raises(StackError, match="web-1 is not up"):
        instance.kill()

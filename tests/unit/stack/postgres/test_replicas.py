"""The set of a primary's replicas: names, order, and its end while one comes up; servers are played."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from harness.errors import StackError
from harness.stack import cores
from harness.stack.cores import Held
from harness.stack.logs import Logs
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.postgres.replica import Replica
from harness.stack.postgres.replicas import Replicas, Room
from harness.stack.stack import Stage

HELD = Held(cpus=1, cores=None)
ROOM = Room(cpus=1, primary=HELD)


@dataclass
class PlayedNode:
    """A server of which nothing runs; as a primary it keeps no slot for anybody."""

    name: str
    down_on_purpose: bool = False
    stages: tuple[Stage, ...] = ()
    lives: bool = False
    cannot_be_removed: bool = False
    discarded: bool = False
    logs: Logs = field(default_factory=lambda: Logs(Path("nowhere")))

    @property
    def endpoint(self) -> Endpoint:
        raise AssertionError("nothing runs that could be somewhere")

    def admin(self) -> psycopg.Connection:
        raise psycopg.OperationalError("nothing runs")

    def how_it_died(self) -> str | None:
        return "never lived"

    def last_lines(self) -> str:
        return ""

    def revive(self) -> None: ...

    def end_sessions(self) -> None: ...

    def discard(self) -> None:
        self.discarded = True
        if self.cannot_be_removed:
            raise StackError(f"{self.name} could not be removed")


@dataclass
class PlayedMaker:
    """Its base backups last until they are aborted, more than once."""

    aborts_needed: int = 0
    begun: threading.Event = field(default_factory=threading.Event)
    aborted: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    prepared: list[PlayedNode] = field(default_factory=list)
    given: list[Held] = field(default_factory=list)

    def prepare(self, name: str, held: Held) -> PlayedNode:
        self.prepared.append(PlayedNode(name))
        self.given.append(held)
        return self.prepared[-1]

    def back_up(self, node: PlayedNode) -> None:
        self.begun.set()
        for _ in range(self.aborts_needed):
            assert self.aborted.acquire(timeout=30)
        raise StackError("the base backup was aborted")

    def start(self, node: PlayedNode) -> None:
        raise AssertionError("no base backup comes to an end here")

    def abort(self, node: PlayedNode) -> None:
        self.aborted.release()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica is up as soon as it is begun."""

    def bring_up(self: Replica[PlayedNode], maker: PlayedMaker, begun: Callable[[PlayedNode], None]) -> None:
        begun(self.node)

    monkeypatch.setattr(Replica, "bring_up", bring_up)


@pytest.fixture
def replicas() -> Replicas[PlayedNode]:
    return Replicas(PlayedNode("postgres"), PlayedMaker(), ROOM)


def names(replicas: Replicas[PlayedNode]) -> list[str]:
    return [node.name for node in replicas.nodes]


@pytest.mark.usefixtures("at_once")
def test_one_that_is_added_has_the_first_name_that_is_free(replicas: Replicas[PlayedNode]) -> None:
    said: list[str] = []
    replicas.bring_up([HELD, HELD], said.append)
    assert said == ["base backup for replica 1 of 2", "base backup for replica 2 of 2"]
    assert replicas.add().name == "postgres-replica-3"
    assert names(replicas) == ["postgres-replica-1", "postgres-replica-2", "postgres-replica-3"]


@pytest.mark.usefixtures("at_once")
def test_one_more_gets_what_there_is_room_for_beside_the_others() -> None:
    maker, first = PlayedMaker(), Held(cpus=1, cores=(6,))
    room = Room(cpus=1, primary=Held(cpus=1, cores=(7,)), own=tuple(range(8)))
    replicas = Replicas(PlayedNode("postgres"), maker, room)
    replicas.bring_up([first], lambda line: None)
    replicas.add()
    replicas.add()
    assert [held.cores for held in maker.given] == [(6,), (5,), (4,)]


def test_one_more_gets_cores_that_no_other_server_of_the_stack_has() -> None:
    """They lie before those of the others, which got theirs in this order: primary, replicas, then MongoDB's members."""
    own = tuple(range(10))
    primary, replica, *members = cores.split([2, 1, 1, 1], own).servers
    room = Room(cpus=2, primary=primary, beside=members, own=own)
    first = room.left([replica])
    second = room.left([replica, first])
    taken = [core for held in (second, first, primary, replica, *members) for core in held.cores or ()]
    assert taken == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert ["joined a load" in " ".join(held.notes) for held in (first, second)] == [True, True]


@pytest.mark.usefixtures("at_once")
def test_a_reset_removes_what_was_added_and_makes_anew_in_its_place_what_does_not_answer(
    replicas: Replicas[PlayedNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    replicas.bring_up([HELD, HELD, HELD], lambda line: None)
    first, second, third = replicas.nodes
    added = replicas.add()

    def ready_for_reset(self: Replica[PlayedNode]) -> None:
        if self.node is second:
            raise StackError("it was promoted")

    monkeypatch.setattr(Replica, "ready_for_reset", ready_for_reset)
    replicas.ready_for_reset()
    one, other, last = replicas.nodes
    assert (one, last) == (first, third)
    assert one is first and other is not second and last is third
    assert other.name == "postgres-replica-2"
    assert [node.discarded for node in (first, second, third, added, other)] == [False, True, False, True, False]


@pytest.mark.usefixtures("at_once")
def test_at_the_end_every_one_is_removed_though_one_cannot_be(replicas: Replicas[PlayedNode]) -> None:
    replicas.bring_up([HELD, HELD, HELD], lambda line: None)
    nodes = replicas.nodes
    nodes[1].cannot_be_removed = True
    with pytest.raises(StackError, match="postgres-replica-2 could not be removed"):
        replicas.close()
    assert [node.discarded for node in nodes] == [True, True, True]
    assert replicas.nodes == ()


@pytest.mark.usefixtures("at_once")
def test_none_is_added_after_the_end(replicas: Replicas[PlayedNode]) -> None:
    replicas.close()
    with pytest.raises(StackError, match="going down"):
        replicas.add()


def test_the_end_awaits_one_in_the_making_and_aborts_it_until_it_fails() -> None:
    """What is ended the first time may be about to begin something that must be ended as well."""
    maker = PlayedMaker(aborts_needed=3)
    replicas = Replicas(PlayedNode("postgres"), maker, ROOM)
    errors: list[BaseException] = []

    def add() -> None:
        try:
            replicas.add()
        except StackError as error:
            errors.append(error)

    thread = threading.Thread(target=add)
    thread.start()
    assert maker.begun.wait(30)
    replicas.close()
    thread.join(30)
    assert [str(error) for error in errors] == ["the base backup was aborted"]
    assert [node.discarded for node in maker.prepared] == [True]

"""A stack whose servers only write down what is done to them, at our own interface; and a conductor on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.clock import Origin
from harness.errors import StackError
from harness.model import Constant, Step, Traffic
from harness.record.writer import EventWriter
from harness.stack.mongo.members import ReplicaSet
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.services.service import ServiceEndpoint, StackEvent
from harness.stack.stack import Footprint, Role, Server, Stage
from harness.timeline.conductor import Conductor
from harness.timeline.performer import Scene

TRAFFIC = Traffic(phases=(Constant(name="burst", at_s=0, for_s=20, per_s=1),), mix={"ask": 1})


@dataclass
class FakeServer:
    """Writes down what is done to it; fails at what it is told to.

    :ivar calls: shared by all servers of a stack, so that their order is known
    """

    name: str
    calls: list[str]
    role: Role = Role.WRITER
    down_on_purpose: bool = False
    fails: set[str] = field(default_factory=set)
    cpus: float | None = 1.0
    stages: tuple[Stage, ...] = ()

    def _do(self, what: str) -> None:
        self.calls.append(f"{what} {self.name}")
        if what.split()[0] in self.fails:
            raise StackError(f"{self.name} does not {what}")

    def footprint(self) -> Footprint | None:
        return Footprint(pid=1, confined=False, cpus=self.cpus)

    def why_not(self, action: str) -> str | None:
        return "packets cannot be dropped here; take --stack docker" if action == "cut_off" else None

    def pause(self) -> None:
        self._do("pause")
        self.down_on_purpose = True

    def resume(self) -> None:
        self._do("resume")
        self.down_on_purpose = False

    def stop(self) -> None:
        self._do("stop")
        self.down_on_purpose = True

    def kill(self) -> None:
        self._do("kill")
        self.down_on_purpose = True

    def start(self) -> None:
        self._do("start")
        self.down_on_purpose = False

    def cut_off(self) -> None:
        self._do("cut_off")

    def rejoin(self) -> None:
        self._do("rejoin")

    def set_cpus(self, cpus: float) -> None:
        self._do(f"set_cpus {cpus:g}")
        self.cpus = cpus


@dataclass
class FakeStack:
    """Servers without databases."""

    servers: dict[str, Server]
    postgres: Endpoint | None = None
    replicas: tuple[Endpoint, ...] = ()
    mongo: ReplicaSet | None = None
    services: dict[str, tuple[ServiceEndpoint, ...]] = field(default_factory=dict)
    events: tuple[StackEvent, ...] = ()
    load_cores: tuple[int, ...] | None = None

    def reset(self, variant: str | None = None, *, used: bool = True) -> None:
        raise AssertionError("nobody resets it")

    def why_not(self, action: str) -> str | None:
        return None

    def add_replica(self) -> Server:
        replica = FakeServer(
            "postgres-replica-9",
            [],
            role=Role.READER,
            stages=(Stage(name="base backup", took_s=1.5), Stage(name="replay", took_s=0.25)),
        )
        self.servers[replica.name] = replica
        self.replicas = (endpoint(replica.name),)
        return replica

    def check_alive(self) -> str | None:
        return None

    def save_logs(self, folder: Path) -> None:
        raise AssertionError("nobody asks for logs")

    def describe(self) -> dict[str, Any]:
        return {}


def endpoint(name: str) -> Endpoint:
    """Where a server that is not there would be."""
    return Endpoint(
        name=name,
        host="127.0.0.1",
        port=1,
        user="postgres",
        application_user="application",
        database="dataset",
        version="18.6",
        version_num=180006,
        postmaster_pid=None,
        cpus=1,
        cores=None,
        log_folder=None,
        max_connections=40,
    )


@dataclass
class Bed:
    """What a test of the conductor needs.

    :ivar said: what people were told
    :ivar readers: what the load was told of readers
    """

    folder: Path
    calls: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    readers: list[str] = field(default_factory=list)
    stack: FakeStack = field(init=False)

    def __post_init__(self) -> None:
        self.stack = FakeStack({name: FakeServer(name, self.calls) for name in ("postgres", "other")})

    def server(self, name: str = "postgres") -> FakeServer:
        found = self.stack.servers[name]
        assert isinstance(found, FakeServer)
        return found

    def conductor(self, *steps: Step, traffic: Traffic = TRAFFIC, undo_limit_s: float = 10.0) -> Conductor:
        self.events_to = EventWriter(self.folder)
        scene = Scene(
            stack=self.stack,
            use_readers=self.readers.extend,
            incident_folder=self.folder,
            logs=self.folder / "logs",
        )
        return Conductor(
            steps, scene, self.events_to, Origin.after(0), traffic, 0.1, self.said.append, undo_limit_s=undo_limit_s
        )

    def events(self) -> list[dict[str, Any]]:
        """What was recorded, in order."""
        return [json.loads(line) for line in (self.folder / "events.jsonl").read_text().splitlines()]

    def edges(self) -> list[tuple[int, str]]:
        """Step and edge of each event of an action."""
        return [(one["fields"]["step"], one["fields"]["edge"]) for one in self.events() if one["kind"] == "action"]

    def of(self, step: int, edge: str) -> dict[str, Any]:
        """The event of a step's edge."""
        (found,) = [
            one
            for one in self.events()
            if one["kind"] == "action" and (one["fields"]["step"], one["fields"]["edge"]) == (step, edge)
        ]
        return found


def addresses(endpoints: Sequence[Endpoint]) -> list[str]:
    """What the load is told of replicas."""
    return [one.dsn(user=one.application_user) for one in endpoints]

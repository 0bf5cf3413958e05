"""What every provider gives: running servers behind one interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from harness.stack.mongo.members import ReplicaSet
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.services.service import ServiceEndpoint, StackEvent


class Role(StrEnum):
    """What a server is for."""

    WRITER = "writer"  # PostgreSQL, the primary
    READER = "reader"  # PostgreSQL, a streaming replica
    MEMBER = "member"  # MongoDB, a member of the replica set
    SERVICE = "service"  # the application itself, an instance of one of its services


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Where the CPU and memory of one server are read, and what it was given.

    :param pid: its main process on this machine; its children belong to it
    :param confined: whether the process has a control group of its own, whose counters are those of the server
    :param cpus: cores it is allotted; None: not known
    :param memory_bytes: most memory it may use; None: no limit
    :param service: the service that it is an instance of; its processes may have children of their own. None: it is a database
    """

    pid: int
    confined: bool
    cpus: float | None
    memory_bytes: int | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of what it took to bring a server up: ``base backup``, ``start``, ``replay``."""

    name: str
    took_s: float


class Server(Protocol):
    """One server of a stack, as the timeline acts upon it. Every method returns when it is done, or raises StackError.

    :ivar name: the label ``name`` of its samples: ``postgres``, ``postgres-replica-1``, ``mongo-1``
    :ivar down_on_purpose: stopped, killed or paused by the timeline: its absence is no death
    :ivar stages: what its coming up took, one after the other, for a server that :meth:`Stack.add_replica` brought up
    """

    name: str
    role: Role
    down_on_purpose: bool
    stages: tuple[Stage, ...]

    def footprint(self) -> Footprint | None:
        """Where its CPU and memory are read now (it has another process after a restart); None: nowhere."""

    def why_not(self, action: str) -> str | None:
        """Why this provider cannot do one of what follows to it, and what to do instead; None if it can.

        :param action: the method's name, such as ``cut_off``: a timeline asks before the load begins
        """

    def pause(self) -> None:
        """Stop its processes without ending them: it looks hung, its connections stay open."""

    def resume(self) -> None:
        """Let paused processes go on."""

    def stop(self) -> None:
        """Shut it down in order."""

    def kill(self) -> None:
        """End its processes as a power cut does."""

    def start(self) -> None:
        """Start it again on the data that it has, and wait until it takes connections."""

    def cut_off(self) -> None:
        """Cut it off from clients and other servers: packets vanish, as in a network partition."""

    def rejoin(self) -> None:
        """Undo :meth:`cut_off`."""

    def set_cpus(self, cpus: float) -> None:
        """Allot it other cores while it runs."""


class Stack(Protocol):
    """Running servers with a seeded dataset.

    :ivar postgres: the primary, at the database that the dataset was seeded into; None: the topology has no PostgreSQL
    :ivar replicas: streaming replicas that take reads now; grows and shrinks with the timeline
    :ivar mongo: None: the topology has no MongoDB
    :ivar services: the instances of each service by its name
    :ivar events: what befell servers since the last reset and has been dealt with, such as a crash and the restart after it
    :ivar servers: every server by its name
    :ivar load_cores: the cores for the load, which this process is held to already; None: any
    """

    @property
    def postgres(self) -> Endpoint | None: ...

    @property
    def replicas(self) -> tuple[Endpoint, ...]: ...

    @property
    def mongo(self) -> ReplicaSet | None: ...

    @property
    def services(self) -> Mapping[str, tuple[ServiceEndpoint, ...]]: ...

    @property
    def events(self) -> Sequence[StackEvent]: ...

    @property
    def servers(self) -> Mapping[str, Server]: ...

    @property
    def load_cores(self) -> tuple[int, ...] | None: ...

    def reset(self, variant: str | None = None, *, used: bool = True) -> None:
        """Put the data back to exactly the seeded state on every server, whatever was done to them; sessions still
        connected are ended, statistics of statements and what :meth:`save_logs` saves begin anew. Services begin anew, too,
        from fresh processes.

        :param variant: which variant services are told to be; None: they are told none
        :param used: whether anything may have been done to the servers since they came up; what comes up as a reset leaves
            it is left alone if not
        :raises StackError: a server does not do it
        """

    def why_not(self, action: str) -> str | None:
        """Why this provider cannot do ``add_replica``, and what to do instead; None if it can."""

    def add_replica(self) -> Server:
        """Bring up one more streaming replica of the PostgreSQL, by base backup; returns when it takes reads.

        :raises StackError: it did not come up, or this provider cannot
        """

    def check_alive(self) -> str | None:
        """None while all servers live that are not down on purpose or about to be started again, else which died and how: exit status, last log lines."""

    def save_logs(self, folder: Path) -> None:
        """Copy what the servers logged since the last reset into ``folder``."""

    def describe(self) -> dict[str, Any]:
        """The object ``stack`` of run.json."""

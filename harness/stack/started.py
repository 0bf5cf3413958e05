"""A stack whose servers we started: what is the same for every provider once they are up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from harness.errors import StackError
from harness.model import Topology
from harness.stack.connect import addresses
from harness.stack.mongo.members import ReplicaSet
from harness.stack.mongo.options import check_parameters
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.postgres.settings import check_settings
from harness.stack.services.instances import ServiceSet
from harness.stack.services.service import ServiceEndpoint, StackEvent
from harness.stack.stack import Server

NO_POSTGRES = "the topology has no PostgreSQL that a replica could follow"


class Database(Protocol):
    """The servers of one kind; each method is the part that these have in the stack's method of that name."""

    def reset(self) -> None: ...
    def check_alive(self) -> str | None: ...
    def save_logs(self, folder: Path) -> None: ...
    def describe(self) -> dict[str, Any]: ...


class Postgres(Database, Protocol):
    """A primary with its replicas, as :class:`harness.stack.postgres.replicated.ReplicatedPostgres`."""

    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def replicas(self) -> tuple[Endpoint, ...]: ...
    @property
    def nodes(self) -> Sequence[Server]: ...

    def why_not(self, action: str) -> str | None: ...
    def add_replica(self) -> Server: ...


class Mongo(Database, Protocol):
    """A replica set."""

    @property
    def replica_set(self) -> ReplicaSet: ...
    @property
    def members(self) -> Sequence[Server]: ...


class StartedStack:
    """A running stack; implements :class:`harness.stack.stack.Stack`.

    :param about: what :meth:`describe` says besides the servers
    :ivar load_cores: the cores for the load, which this process is held to already; None: any
    """

    def __init__(
        self,
        *,
        postgres: Postgres | None,
        mongo: Mongo | None,
        load_cores: tuple[int, ...] | None,
        about: Mapping[str, Any],
    ) -> None:
        self._postgres, self._mongo, self._about = postgres, mongo, about
        self._services = ServiceSet(())  # they are told where the databases are, so these are first
        self.load_cores = load_cores

    @property
    def postgres(self) -> Endpoint | None:
        """The primary, at the database that the dataset was seeded into; None: the topology has none."""
        return None if self._postgres is None else self._postgres.endpoint

    @property
    def replicas(self) -> tuple[Endpoint, ...]:
        """Streaming replicas that take reads now."""
        return () if self._postgres is None else self._postgres.replicas

    @property
    def mongo(self) -> ReplicaSet | None:
        """The replica set; None: the topology has none."""
        return None if self._mongo is None else self._mongo.replica_set

    @property
    def servers(self) -> Mapping[str, Server]:
        """Every server by its name."""
        nodes: Sequence[Server] = () if self._postgres is None else self._postgres.nodes
        members: Sequence[Server] = () if self._mongo is None else self._mongo.members
        return {server.name: server for server in (*nodes, *members, *self._services.instances)}

    @property
    def services(self) -> Mapping[str, tuple[ServiceEndpoint, ...]]:
        """The instances of each service by its name."""
        return self._services.endpoints

    @property
    def events(self) -> Sequence[StackEvent]:
        """Crashes and restarts of services since the last reset."""
        return self._services.events

    def why_not(self, action: str) -> str | None:
        """Why it cannot do ``add_replica``; None if it can."""
        return NO_POSTGRES if self._postgres is None else self._postgres.why_not(action)

    def add_replica(self) -> Server:
        """Bring up one more streaming replica, by base backup; returns when it takes reads.

        :raises StackError: it did not come up
        """
        if self._postgres is None:
            raise StackError(NO_POSTGRES)
        return self._postgres.add_replica()

    def reset(self, variant: str | None = None, *, used: bool = True) -> None:
        """Put the data back to exactly the seeded state on every server; sessions still connected to it are ended, and
        services begin from fresh processes.

        :param variant: which variant services are told to be
        :param used: whether anything may have been done to the servers since they came up
        :raises StackError: a server does not do it
        """
        self._services.end()
        if self._postgres is not None:
            self._postgres.reset()
        if self._mongo is not None and used:
            self._mongo.reset()
        self._services.begin(addresses(self), variant=variant)

    def check_alive(self) -> str | None:
        """None while all servers live that are not down on purpose or about to be started again, else how one died: exit
        status, want of memory, last log lines."""
        return next((died for part in self._parts() if (died := part.check_alive()) is not None), None)

    def save_logs(self, folder: Path) -> None:
        """Copy what the servers logged since the last reset into ``folder``, which is made where it is missing; what
        replicas logged into a folder of each."""
        for part in self._parts():
            part.save_logs(folder)

    def describe(self) -> dict[str, Any]:
        """The object ``stack`` of run.json."""
        databases = {name: database.describe() for name, database in self._databases().items()}
        return {**self._about, **databases, **self._services.describe()}

    def _parts(self) -> Sequence[Database | ServiceSet]:
        return (*self._databases().values(), self._services)

    def _databases(self) -> dict[str, Database]:
        both: dict[str, Database | None] = {"postgres": self._postgres, "mongo": self._mongo}
        return {name: database for name, database in both.items() if database is not None}


def check_settings_of(topology: Topology) -> None:
    """Refuse what the harness needs for itself, before anything is started.

    :raises DefinitionError: a setting or a parameter is
    """
    if topology.postgres is not None:
        check_settings(topology.postgres.settings)
        check_settings(topology.postgres.replica_settings, field="replica_settings")
    if topology.mongo is not None:
        check_parameters(topology.mongo)

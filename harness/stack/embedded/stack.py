"""Real servers as child processes: up, reset, logs, down.

1 sweep what killed runs left
2 divide the cores between the servers and the load
3 start the servers, each with a seeded dataset, and then the services, which are told where those are
4 the run; between variants the data is put back to the seeded state
5 stop the servers and remove their folders, on every path
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from harness import dataset as datasets
from harness.errors import StackError
from harness.model import Dataset, Topology
from harness.stack import cores
from harness.stack.connect import addresses
from harness.stack.embedded import service
from harness.stack.embedded.mongo import EmbeddedMongo
from harness.stack.embedded.postgres import EmbeddedPostgres
from harness.stack.embedded.sweep import sweep
from harness.stack.mongo.members import ReplicaSet
from harness.stack.mongo.options import check_parameters
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.postgres.settings import check_settings
from harness.stack.services.instances import ServiceSet, cores_asked
from harness.stack.services.service import ServiceEndpoint, StackEvent
from harness.stack.stack import Server

NO_POSTGRES = "the topology has no PostgreSQL that a replica could follow"


class EmbeddedStack:
    """A running stack; made by :meth:`up`.

    :ivar load_cores: the cores for the load, which this process is held to already; None: any
    """

    def __init__(
        self, *, postgres: EmbeddedPostgres | None, mongo: EmbeddedMongo | None, load_cores: tuple[int, ...] | None
    ) -> None:
        self._postgres = postgres
        self._mongo = mongo
        self._services = ServiceSet(())  # they are told where the databases are, so these are first
        self.load_cores = load_cores

    @classmethod
    @contextmanager
    def up(
        cls, topology: Topology, dataset: Dataset, *, scale: float, seed: int, say: Callable[[str], None]
    ) -> Iterator[Self]:
        """Start the servers of a topology with a seeded dataset; torn down on every path.

        :param scale: size of the dataset, 1.0 is what the incident was tuned with; used as it is
        :param say: is told what takes time, and what was cleaned up
        :raises DefinitionError: the dataset or a setting is wrong
        :raises StackError: a server did not come up
        """
        postgres, mongo = topology.postgres, topology.mongo
        if postgres is not None:
            check_settings(postgres.settings)
            check_settings(postgres.replica_settings, field="replica_settings")
        if mongo is not None:
            check_parameters(mongo)
        fixture = datasets.load(dataset, topology)
        for line in sweep():
            say(line)
        wanted = [] if postgres is None else [postgres.cpus, *[postgres.cpus_of_a_replica] * postgres.replicas]
        members = [] if mongo is None else [mongo.cpus] * mongo.members
        databases = len(wanted) + len(members)
        split = cores.split([*wanted, *members, *cores_asked(topology.services)], cores.own_cores())
        with ExitStack() as closing:
            closing.enter_context(cores.process_held_to(split.load))
            relational: EmbeddedPostgres | None = None
            documents: EmbeddedMongo | None = None
            if postgres is not None:
                held = split.servers[: len(wanted)]
                beside = split.servers[len(held) :]
                up = EmbeddedPostgres.up(postgres, fixture, scale=scale, seed=seed, held=held, beside=beside, say=say)
                relational = closing.enter_context(up)
            if mongo is not None:
                theirs = split.servers[len(wanted) : databases]
                set_up = EmbeddedMongo.up(mongo, fixture, scale=scale, seed=seed, held=theirs, say=say)
                documents = closing.enter_context(set_up)
            stack = cls(postgres=relational, mongo=documents, load_cores=split.load)
            held = split.servers[databases:]
            serving = ServiceSet.up(topology.services, service.place, addresses(stack), held=held, say=say)
            stack._services = closing.enter_context(serving)
            yield stack

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
        """Bring up one more streaming replica.

        :raises StackError: it did not come up
        """
        if self._postgres is None:
            raise StackError(NO_POSTGRES)
        return self._postgres.add_replica()

    def reset(self, variant: str | None = None) -> None:
        """Put the data back to exactly the seeded state on every server; sessions still connected to it are ended, and
        services begin from fresh processes.

        :param variant: which variant services are told to be
        :raises StackError: a server does not do it
        """
        self._services.end()
        for part in self._parts():
            part.reset()
        self._services.begin(addresses(self), variant=variant)

    def check_alive(self) -> str | None:
        """None while all servers live, else how one died: exit status and last log lines."""
        parts = (*self._parts(), self._services)
        return next((died for part in parts if (died := part.check_alive()) is not None), None)

    def save_logs(self, folder: Path) -> None:
        """Copy what the servers logged since the last reset into ``folder``, which is made where it is missing."""
        for part in (*self._parts(), self._services):
            part.save_logs(folder)

    def describe(self) -> dict[str, Any]:
        """The object ``stack`` of run.json."""
        described: dict[str, Any] = {"provider": "embedded"}
        if self._postgres is not None:
            described["postgres"] = self._postgres.describe()
        if self._mongo is not None:
            described["mongo"] = self._mongo.describe()
        return described | self._services.describe()

    def _parts(self) -> Sequence[EmbeddedPostgres | EmbeddedMongo]:
        return [part for part in (self._postgres, self._mongo) if part is not None]

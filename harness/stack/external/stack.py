"""One's own servers behind the interface that every provider has: checked, seeded, reset, left running."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Self

from harness import dataset as datasets
from harness.errors import StackError, UsageError
from harness.model import Dataset, Topology
from harness.stack.external import addresses, dsn, exporters, mongo_uri, services
from harness.stack.external.addresses import Addresses
from harness.stack.external.mongo import ExternalMongo
from harness.stack.external.postgres import ExternalPostgres
from harness.stack.external.server import ExternalServer
from harness.stack.mongo.members import ReplicaSet
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.services.service import ServiceEndpoint, StackEvent
from harness.stack.stack import Role, Server


class ExternalStack:
    """Servers that are there already; made by :meth:`up`.

    :ivar load_cores: None: the load may use any core, none of them is a server's of ours
    """

    load_cores: tuple[int, ...] | None = None
    events: Sequence[StackEvent] = ()

    def __init__(
        self,
        *,
        postgres: ExternalPostgres | None,
        mongo: ExternalMongo | None,
        services: Mapping[str, tuple[ServiceEndpoint, ...]],
    ) -> None:
        self._postgres, self._mongo, self.services = postgres, mongo, services
        self._servers: dict[str, Server] = {}
        if postgres is not None:
            self._servers[postgres.endpoint.name] = ExternalServer(postgres.endpoint.name, Role.WRITER)
            for replica in postgres.replicas:
                self._servers[replica.name] = ExternalServer(replica.name, Role.READER)
        if mongo is not None:
            for member in mongo.replica_set.members:
                self._servers[member.name] = ExternalServer(member.name, Role.MEMBER)
        for instance in chain.from_iterable(services.values()):
            self._servers[instance.name] = ExternalServer(instance.name, Role.SERVICE)

    @classmethod
    @contextmanager
    def up(
        cls, topology: Topology, dataset: Dataset, *, scale: float, seed: int, say: Callable[[str], None]
    ) -> Iterator[Self]:
        """Take the servers that the environment names, with a seeded dataset; they are left running.

        :param scale: size of the dataset, 1.0 is what the incident was tuned with; used as it is
        :param say: is told what takes time, and what is not measured
        :raises UsageError: an address is missing or wrong
        :raises StackError: a server may not be used, or cannot be
        """
        named = addresses.read()
        _check_named(topology, named)
        serving = services.endpoints(topology.services, named.services)
        fixture = datasets.load(dataset, topology)
        with ExitStack() as closing:
            postgres: ExternalPostgres | None = None
            if topology.postgres is not None and named.postgres is not None:
                taken = ExternalPostgres.up(
                    topology.postgres,
                    dsn.parse(named.postgres, addresses.POSTGRES_VARIABLE),
                    [
                        dsn.parse(one, addresses.REPLICAS_VARIABLE)
                        for one in named.replicas[: topology.postgres.replicas]
                    ],
                    fixture,
                    scale=scale,
                    seed=seed,
                    say=say,
                )
                postgres = closing.enter_context(taken)
            mongo: ExternalMongo | None = None
            if topology.mongo is not None and named.mongo is not None:
                address = mongo_uri.parse(named.mongo, addresses.MONGO_VARIABLE)
                of_set = ExternalMongo.up(topology.mongo, address, fixture, scale=scale, seed=seed, say=say)
                mongo = closing.enter_context(of_set)
            stack = cls(postgres=postgres, mongo=mongo, services=serving)
            exporters.parse(named.prometheus, list(stack.servers))  # a wrong one is told before the load begins
            yield stack

    @property
    def postgres(self) -> Endpoint | None:
        """The primary, at the database that is loaded; None: the topology has none."""
        return self._postgres.endpoint if self._postgres else None

    @property
    def replicas(self) -> tuple[Endpoint, ...]:
        """Streaming replicas that take reads."""
        return self._postgres.replicas if self._postgres else ()

    @property
    def mongo(self) -> ReplicaSet | None:
        """The replica set; None: the topology has none."""
        return self._mongo.replica_set if self._mongo else None

    @property
    def servers(self) -> Mapping[str, Server]:
        """Every server by its name; nothing can be done to them."""
        return self._servers

    def why_not(self, action: str) -> str | None:
        """Why no replica can be added, and what to do instead."""
        return (
            "flashcrowd cannot add a replica to a server of your own: run the incident with --stack embedded or docker"
        )

    def add_replica(self) -> Server:
        """:raises StackError: always"""
        raise StackError(self.why_not("add_replica"))

    def reset(self, variant: str | None = None, *, used: bool = True) -> None:
        """Put the data back to exactly the seeded state; sessions in the database are ended, services left as they are.

        :raises StackError: a server does not do it
        """
        if self._postgres is not None:
            self._postgres.reset()
        if self._mongo is not None:
            self._mongo.reset()

    def check_alive(self) -> str | None:
        """None: whether a server that is not ours lives is seen by clients and probes only."""
        return None

    def save_logs(self, folder: Path) -> None:
        """Nothing: the servers' logs are not ours to read."""

    def describe(self) -> dict[str, Any]:
        """The object ``stack`` of run.json."""
        said: dict[str, Any] = {"provider": "external"}
        if self._postgres is not None:
            said["postgres"] = self._postgres.describe()
        if self._mongo is not None:
            said["mongo"] = self._mongo.describe()
        if self.services:
            note = "services that are there already are neither started anew between variants nor told which one it is"
            said["services"] = [
                {"name": name, "instances": [{"name": one.name, "notes": [note]} for one in instances]}
                for name, instances in self.services.items()
            ]
        return said


def _check_named(topology: Topology, named: Addresses) -> None:
    wanted = topology.postgres
    if wanted is not None and named.postgres is None:
        raise UsageError(
            f"--stack external: {addresses.POSTGRES_VARIABLE} names no server; set it, or {addresses.FILE_VARIABLE}, to "
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        )
    if wanted is not None and len(named.replicas) < wanted.replicas:
        raise UsageError(
            f"--stack external: the incident has {wanted.replicas} replicas and {addresses.REPLICAS_VARIABLE} names "
            f"{len(named.replicas)}: name them all, with a blank between them"
        )
    if topology.mongo is not None and named.mongo is None:
        raise UsageError(
            f"--stack external: {addresses.MONGO_VARIABLE} names no replica set; set it, or {addresses.FILE_VARIABLE}, to "
            "mongodb://USER:PASSWORD@HOST:PORT/DATABASE"
        )

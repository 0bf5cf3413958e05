"""Real servers in containers: up, reset, logs, down.

1 find the engine and the images
2 divide the cores between the servers and the load
3 make a folder for logs, a guard that cleans up should this process be killed, and a network
4 start the servers, each with a seeded dataset, and then the services, which are told where those are
5 the run; between variants the data is put back to the seeded state
6 remove containers, network and folder, on every path
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

from harness import dataset as datasets
from harness.errors import StackError
from harness.model import Dataset, Topology
from harness.stack import cores
from harness.stack.connect import addresses
from harness.stack.docker import engine as engines
from harness.stack.docker import images, network, recipes, service
from harness.stack.docker.container import Place
from harness.stack.docker.engine import Engine
from harness.stack.docker.guard import guarded
from harness.stack.docker.images import Image
from harness.stack.docker.labels import Labels
from harness.stack.docker.mongo import DockerMongo
from harness.stack.docker.postgres import DockerPostgres
from harness.stack.docker.server import DockerServer
from harness.stack.embedded import account as accounts
from harness.stack.embedded import instance as instances
from harness.stack.mongo.members import ReplicaSet
from harness.stack.mongo.options import check_parameters
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.postgres.settings import check_settings
from harness.stack.services.instances import ServiceSet, cores_asked
from harness.stack.services.service import ServiceEndpoint, StackEvent
from harness.stack.stack import Server


class DockerStack:
    """A running stack; made by :meth:`up`.

    :ivar load_cores: the cores for the load, which this process is held to already; None: any
    """

    def __init__(
        self,
        *,
        postgres: DockerPostgres | None,
        mongo: DockerMongo | None,
        load_cores: tuple[int, ...] | None,
        about: dict[str, Any],
    ) -> None:
        self._postgres, self._mongo, self._about = postgres, mongo, about
        self._services = ServiceSet(())  # they are told where the databases are, so these are first
        self.load_cores = load_cores

    @classmethod
    @contextmanager
    def up(
        cls, topology: Topology, dataset: Dataset, *, scale: float, seed: int, say: Callable[[str], None]
    ) -> Iterator[Self]:
        """Start the servers of a topology with a seeded dataset; removed on every path.

        :param scale: size of the dataset, 1.0 is what the incident was tuned with; used as it is
        :param say: is told what takes time
        :raises DefinitionError: the dataset or a setting is wrong
        :raises StackError: a server did not come up
        """
        postgres, mongo = topology.postgres, topology.mongo
        asked: list[float] = []
        if postgres is not None:
            check_settings(postgres.settings)
            check_settings(postgres.replica_settings, field="replica_settings")
            asked += [postgres.cpus, *[postgres.cpus_of_a_replica] * postgres.replicas]
        if mongo is not None:
            check_parameters(mongo)
        fixture = datasets.load(dataset, topology)
        members = [] if mongo is None else [mongo.cpus] * mongo.members
        databases = len(asked) + len(members)
        wanted = [*asked, *members, *cores_asked(topology.services)]
        split = cores.split(wanted, cores.own_cores(), quotas=True)
        labels = Labels(stack=f"flashcrowd-{secrets.token_hex(4)}")
        with ExitStack() as closing:
            engine = closing.enter_context(engines.connect())
            relational_image, document_image = _images(engine, topology)
            closing.enter_context(cores.process_held_to(split.load))
            folder = closing.enter_context(instances.make(accounts.for_servers()))
            closing.enter_context(guarded(labels, folder.folder))
            net = closing.enter_context(network.make(engine, labels))
            place = Place(engine=engine, network=net, labels=labels, folder=folder.log)
            relational: DockerPostgres | None = None
            documents: DockerMongo | None = None
            if postgres is not None and relational_image is not None:
                held = split.servers[: len(asked)]
                beside = split.servers[len(held) :]
                up = DockerPostgres.up(
                    postgres,
                    fixture,
                    relational_image,
                    place,
                    scale=scale,
                    seed=seed,
                    held=held,
                    beside=beside,
                    say=say,
                )
                relational = closing.enter_context(up)
            if mongo is not None and document_image is not None:
                theirs = split.servers[len(asked) : databases]
                set_up = DockerMongo.up(
                    mongo, fixture, document_image, place, scale=scale, seed=seed, held=theirs, say=say
                )
                documents = closing.enter_context(set_up)
            about = {"provider": "docker", "engine": engine.version(), "network": str(net.subnet)}
            stack = cls(postgres=relational, mongo=documents, load_cores=split.load, about=about)
            if topology.services:
                image = images.build(engine.client, recipes.service(), lambda line: None)
                where = partial(service.place, image=image, where=place)
                held = split.servers[databases:]
                serving = ServiceSet.up(topology.services, where, addresses(stack), held=held, say=say)
                stack._services = closing.enter_context(serving)
            yield stack

    @property
    def postgres(self) -> Endpoint | None:
        """The primary, at the database that the dataset was seeded into."""
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
        found: Sequence[Server] = (*self._servers(), *self._services.instances)
        return {server.name: server for server in found}

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
        if action == "add_replica" and self._postgres is None:
            return "the topology has no PostgreSQL whose replica it could be"
        return None

    def add_replica(self) -> Server:
        """Bring up one more streaming replica, by base backup; returns when it takes reads.

        :raises StackError: it did not come up
        """
        if self._postgres is None:
            raise StackError(self.why_not("add_replica"))
        return self._postgres.add_replica()

    def reset(self, variant: str | None = None) -> None:
        """Put the data back to exactly the seeded state on every server; sessions still connected to it are ended, and
        services begin in new containers.

        :param variant: which variant services are told to be
        :raises StackError: a server does not do it
        """
        self._services.end()
        for part in (self._postgres, self._mongo):
            if part is not None:
                part.reset()
        self._services.begin(addresses(self), variant=variant)

    def check_alive(self) -> str | None:
        """None while all servers live that are not down on purpose, else how one died: exit status, want of memory, last
        log lines."""
        died = (died for server in self._servers() if (died := server.how_it_died()))
        return next(died, None) or self._services.check_alive()

    def save_logs(self, folder: Path) -> None:
        """Copy what the servers logged since the last reset into ``folder``; what replicas logged into a folder of each."""
        for part in (self._postgres, self._mongo, self._services):
            if part is not None:
                part.save_logs(folder)

    def describe(self) -> dict[str, Any]:
        """The object ``stack`` of run.json."""
        parts = {"postgres": self._postgres, "mongo": self._mongo}
        databases = {name: part.describe() for name, part in parts.items() if part is not None}
        return {**self._about, **databases, **self._services.describe()}

    def _servers(self) -> tuple[DockerServer, ...]:
        relational = () if self._postgres is None else self._postgres.nodes
        return (*relational, *(() if self._mongo is None else self._mongo.members))


def why_no_docker(topology: Topology) -> str | None:
    """Why the servers of a topology cannot run in containers here; None if they can."""
    try:
        with engines.connect() as engine:
            _images(engine, topology)
    except StackError as error:
        return str(error)
    return None


def _images(engine: Engine, topology: Topology) -> tuple[Image | None, Image | None]:
    """The images for PostgreSQL and MongoDB; None where the topology has no such server.

    :raises StackError: one is neither there nor to be had
    """
    postgres = None if topology.postgres is None else images.postgres_image(engine.client)
    mongo = None if topology.mongo is None else images.mongo_image(engine.client)
    return postgres, mongo

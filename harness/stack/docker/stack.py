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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Self

from harness import dataset as datasets
from harness.errors import StackError
from harness.model import Dataset, Topology
from harness.stack import cores
from harness.stack.connect import addresses
from harness.stack.docker import engine as engines
from harness.stack.docker import images, network, recipes, service
from harness.stack.docker.container import Place
from harness.stack.docker.disks import Disks
from harness.stack.docker.engine import Engine
from harness.stack.docker.guard import guarded
from harness.stack.docker.images import Image
from harness.stack.docker.labels import Labels
from harness.stack.docker.mongo import DockerMongo
from harness.stack.docker.postgres import DockerPostgres
from harness.stack.embedded import account as accounts
from harness.stack.embedded import instance as instances
from harness.stack.services.instances import ServiceSet
from harness.stack.shares import Shares
from harness.stack.started import StartedStack, check_settings_of


class DockerStack(StartedStack):
    """A running stack; made by :meth:`up`."""

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
        check_settings_of(topology)
        fixture = datasets.load(dataset, topology)
        shares = Shares.of(topology, cores.own_cores(), quotas=True)
        labels = Labels(stack=f"flashcrowd-{secrets.token_hex(4)}")
        with ExitStack() as closing:
            engine = closing.enter_context(engines.connect())
            relational_image, document_image = _images(engine, topology)
            closing.enter_context(cores.process_held_to(shares.load))
            folder = closing.enter_context(instances.make(accounts.for_servers()))
            disks = Disks.chosen(folder.folder)
            closing.enter_context(guarded(labels, folder.folder))
            net = closing.enter_context(network.make(engine, labels))
            place = Place(engine=engine, network=net, labels=labels, folder=folder.log, disks=disks)
            relational: DockerPostgres | None = None
            documents: DockerMongo | None = None
            if postgres is not None and relational_image is not None:
                up = DockerPostgres.up(
                    postgres,
                    fixture,
                    relational_image,
                    place,
                    scale=scale,
                    seed=seed,
                    held=shares.postgres,
                    beside=shares.beside_postgres,
                    say=say,
                )
                relational = closing.enter_context(up)
            if mongo is not None and document_image is not None:
                set_up = DockerMongo.up(
                    mongo, fixture, document_image, place, scale=scale, seed=seed, held=shares.mongo, say=say
                )
                documents = closing.enter_context(set_up)
            about = {
                "provider": "docker",
                "engine": engine.version(),
                "network": str(net.subnet),
                "disks": disks.where,
            }
            stack = cls(postgres=relational, mongo=documents, load_cores=shares.load, about=about)
            if topology.services:
                image = images.build(engine.client, recipes.service(), lambda line: None)
                where = partial(service.place, image=image, where=place)
                serving = ServiceSet.up(topology.services, where, addresses(stack), held=shares.services, say=say)
                stack._services = closing.enter_context(serving)
            yield stack


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

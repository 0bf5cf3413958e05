"""Real servers as child processes: up, reset, logs, down.

1 sweep what killed runs left
2 divide the cores between the servers and the load
3 start the servers, each with a seeded dataset, and then the services, which are told where those are
4 the run; between variants the data is put back to the seeded state
5 stop the servers and remove their folders, on every path
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Self

from harness import dataset as datasets
from harness.model import Dataset, Topology
from harness.stack import cores
from harness.stack.connect import addresses
from harness.stack.embedded import service
from harness.stack.embedded.mongo import EmbeddedMongo
from harness.stack.embedded.postgres import EmbeddedPostgres
from harness.stack.embedded.sweep import sweep
from harness.stack.services.instances import ServiceSet
from harness.stack.shares import Shares
from harness.stack.started import StartedStack, check_settings_of


class EmbeddedStack(StartedStack):
    """A running stack; made by :meth:`up`."""

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
        check_settings_of(topology)
        fixture = datasets.load(dataset, topology)
        for line in sweep():
            say(line)
        shares = Shares.of(topology, cores.own_cores())
        with ExitStack() as closing:
            closing.enter_context(cores.process_held_to(shares.load))
            relational: EmbeddedPostgres | None = None
            documents: EmbeddedMongo | None = None
            if postgres is not None:
                held, beside = shares.postgres, shares.beside_postgres
                up = EmbeddedPostgres.up(postgres, fixture, scale=scale, seed=seed, held=held, beside=beside, say=say)
                relational = closing.enter_context(up)
            if mongo is not None:
                set_up = EmbeddedMongo.up(mongo, fixture, scale=scale, seed=seed, held=shares.mongo, say=say)
                documents = closing.enter_context(set_up)
            about = {"provider": "embedded"}
            stack = cls(postgres=relational, mongo=documents, load_cores=shares.load, about=about)
            serving = ServiceSet.up(topology.services, service.place, addresses(stack), held=shares.services, say=say)
            stack._services = closing.enter_context(serving)
            yield stack

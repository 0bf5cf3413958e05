"""Real servers as child processes: up, reset, logs, down.

1 sweep what killed runs left
2 divide the cores between the servers and the load
3 start the servers, each with a seeded dataset
4 the run; between variants the data is put back to the seeded state
5 stop the servers and remove their folders, on every path
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from harness import dataset as datasets
from harness.errors import StackError
from harness.model import Dataset, Topology
from harness.stack import cores
from harness.stack.embedded.postgres import EmbeddedPostgres
from harness.stack.embedded.sweep import sweep
from harness.stack.mongo import ReplicaSet
from harness.stack.postgres import Endpoint
from harness.stack.postgres_settings import check_settings
from harness.stack.stack import Server


class EmbeddedStack:
    """A running stack; made by :meth:`up`.

    :ivar load_cores: the cores for the load, which this process is held to already; None: any
    """

    def __init__(self, *, postgres: EmbeddedPostgres, load_cores: tuple[int, ...] | None) -> None:
        self._postgres = postgres
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
        asked = topology.postgres
        assert asked is not None
        check_settings(asked.settings)
        fixture = datasets.load(dataset)
        for line in sweep():
            say(line)
        split = cores.split([asked.cpus], cores.own_cores())
        with ExitStack() as closing:
            closing.enter_context(cores.process_held_to(split.load))
            up = EmbeddedPostgres.up(asked, fixture, scale=scale, seed=seed, held=split.servers[0], say=say)
            yield cls(postgres=closing.enter_context(up), load_cores=split.load)

    @property
    def postgres(self) -> Endpoint:
        """The server, at the database that the dataset was seeded into."""
        return self._postgres.endpoint

    @property
    def replicas(self) -> tuple[Endpoint, ...]:
        """Streaming replicas that take reads now."""
        return ()

    @property
    def mongo(self) -> ReplicaSet | None:
        """The replica set; None: the topology has none."""
        return None

    @property
    def servers(self) -> Mapping[str, Server]:
        """Every server by its name."""
        return {}

    def why_not(self, action: str) -> str | None:
        """Why it cannot do ``add_replica``; None if it can."""
        return "embedded servers have no replicas yet"

    def add_replica(self) -> Server:
        """Bring up one more streaming replica.

        :raises StackError: it did not come up
        """
        raise StackError(self.why_not("add_replica"))

    def reset(self) -> None:
        """Put the data back to exactly the seeded state; sessions still connected to it are ended.

        :raises StackError: a server does not do it
        """
        self._postgres.reset()

    def check_alive(self) -> str | None:
        """None while all servers live, else how one died: exit status and last log lines."""
        return self._postgres.check_alive()

    def save_logs(self, folder: Path) -> None:
        """Copy what the servers logged since the last reset into ``folder``, which is made where it is missing."""
        self._postgres.save_logs(folder)

    def describe(self) -> dict[str, Any]:
        """The object ``stack`` of run.json."""
        return {"provider": "embedded", "postgres": self._postgres.describe()}

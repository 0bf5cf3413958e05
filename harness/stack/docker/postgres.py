"""The PostgreSQL of a stack in containers, with its replicas: up, reset, logs, down.

1 seed a cluster in a container of the image, unless the cache has it
2 start the primary on a copy of it, and give its roles passwords of this stack's own
3 bring up its replicas, each by base backup
4 the run; between variants the database is put back to the seeded state, and the replicas replay that
5 remove the containers with their disks, on every path
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import psycopg

from harness.dataset import Fixture
from harness.errors import StackError
from harness.model import PostgresServer
from harness.stack import cores
from harness.stack.cores import Held
from harness.stack.docker import cluster as clusters
from harness.stack.docker import session
from harness.stack.docker.cluster import DATA, VOLUME, Cluster
from harness.stack.docker.container import Allotment, Place, Plan, created
from harness.stack.docker.images import Image
from harness.stack.docker.node import CONFIGURATION, LOG, Node, Passwords, server_command, set_passwords, write_hba
from harness.stack.docker.replica import ReplicaMaker
from harness.stack.postgres import Endpoint
from harness.stack.postgres_settings import NO_STATEMENTS, settings_in_force
from harness.stack.replicas import Replicas
from harness.stack.seeding import forget_statements, reset_database
from harness.stack.stack import Role

NAME = "postgres"


class DockerPostgres:
    """A running PostgreSQL and its replicas; made by :meth:`up`."""

    def __init__(self, primary: Node, replicas: Replicas[Node], asked: PostgresServer, image: Image) -> None:
        self._primary, self._replicas, self._image = primary, replicas, image
        self._replica_settings = dict(asked.replica_settings)
        with primary.admin() as admin:
            self._settings = settings_in_force(admin)
            forget_statements(admin)

    @classmethod
    @contextmanager
    def up(
        cls,
        asked: PostgresServer,
        fixture: Fixture,
        image: Image,
        place: Place,
        *,
        scale: float,
        seed: int,
        held: Sequence[Held],
        say: Callable[[str], None],
    ) -> Iterator[Self]:
        """Start the servers with a seeded dataset; removed on every path.

        :param held: what they get, the primary's first
        :raises StackError: a server did not come up
        """
        passwords = Passwords()
        write_hba(place.folder / "conf", str(place.network.subnet))
        recipe = clusters.ClusterRecipe(fixture=fixture, scale=scale, seed=seed, image=image)
        allotment = Allotment(cpus=held[0].cpus, memory_bytes=asked.memory_bytes, cores=held[0].cores)
        with ExitStack() as closing:
            # Seeding is no part of what is measured: it gets the cores, and all memory.
            unlimited = Allotment(cpus=held[0].cpus, memory_bytes=None, cores=held[0].cores)
            notes = held[0].notes
            with clusters.seeded(recipe, place, unlimited, say) as cluster:
                notes += () if cluster.has_statements else (NO_STATEMENTS,)
                plan = _plan(asked, image, place, allotment, cluster)
                container = closing.enter_context(created(place, plan))
                container.put(cluster.archive, VOLUME)
            container.start()
            session.await_ready(container, cluster.password)
            set_passwords(container, cluster.password, passwords)
            primary = Node(container=container, role=Role.WRITER, allotment=allotment, passwords=passwords, notes=notes)
            maker = ReplicaMaker(
                primary=primary,
                place=place,
                image=image,
                passwords=passwords,
                settings={**asked.settings, **asked.replica_settings},
                has_statements=cluster.has_statements,
                memory_bytes=asked.memory_bytes,
            )

            def room(others: Sequence[Held]) -> Held:
                taken = [held[0].cpus, *(one.cpus for one in others)]
                return cores.joining(asked.cpus_of_a_replica, taken, cores.own_cores(), quotas=True)

            replicas = Replicas(primary, maker, room)
            closing.callback(replicas.close)
            replicas.bring_up(held[1:], say)
            yield cls(primary, replicas, asked, image)

    @property
    def endpoint(self) -> Endpoint:
        """The primary, at the database that the dataset was seeded into."""
        return self._primary.endpoint

    @property
    def replicas(self) -> tuple[Endpoint, ...]:
        """Those that take reads now."""
        nodes = self._replicas.nodes
        return tuple(node.endpoint for node in nodes if not node.down_on_purpose and node.how_it_died() is None)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The primary and its replicas, running or not."""
        return (self._primary, *self._replicas.nodes)

    def add_replica(self) -> Node:
        """Bring up one more replica; returns when it takes reads.

        :raises StackError: it did not come up
        """
        return self._replicas.add()

    def reset(self) -> None:
        """Put the database back to exactly the seeded state on all servers; sessions still connected to it are ended.

        Servers that are down, paused or cut off are back, replicas that were added are gone. The statistics of statements
        start anew, and so does what :meth:`save_logs` saves.

        :raises StackError: a server does not do it
        """
        try:
            self._primary.revive()
            self._replicas.ready_for_reset()
            with self._admin() as admin:
                reset_database(admin)
        except psycopg.Error as error:
            said = self._primary.container.how_it_died() or self._primary.last_lines()
            raise StackError(f"the database could not be reset: {error}{said}") from error
        self._primary.logs.mark()
        self._replicas.follow_reset()

    def save_logs(self, folder: Path) -> None:
        """Copy what the servers logged since the last reset into ``folder``; what replicas logged into a folder of each."""
        self._primary.logs.save(folder)
        for node in self.nodes[1:]:
            node.logs.save(folder / node.name)

    def describe(self) -> dict[str, Any]:
        """The object ``stack.postgres`` of run.json."""
        endpoint = self.endpoint
        return {
            "version": endpoint.version,
            "version_num": endpoint.version_num,
            "image": self._image.described(),
            "settings": dict(self._settings),
            **_allotment(self._primary),
            "replicas": [
                {"name": node.name, "settings": self._replica_settings, **_allotment(node)} for node in self.nodes[1:]
            ],
        }

    def _admin(self) -> psycopg.Connection:
        try:
            return self._primary.admin()
        except psycopg.OperationalError as error:
            # A refusal while connecting has no SQLSTATE in libpq, only its words.
            if "too many clients" not in str(error) and "connection slots" not in str(error):
                raise
        # Superusers filled even the reserved connections. They are to be ended anyway: the server is started anew.
        self._primary.stop()
        self._primary.start()
        return self._primary.admin()


def _plan(asked: PostgresServer, image: Image, place: Place, allotment: Allotment, cluster: Cluster) -> Plan:
    return Plan(
        name=NAME,
        image=image,
        command=server_command(asked.settings, cluster.version_num, has_statements=cluster.has_statements),
        environment={"PGDATA": DATA, "TZ": "UTC"},
        allotment=allotment,
        binds=[(place.log(NAME), LOG, "rw"), (place.folder / "conf", CONFIGURATION, "ro")],
        volumes=[VOLUME],
    )


def _allotment(node: Node) -> dict[str, Any]:
    endpoint = node.endpoint
    return {
        "cpus": endpoint.cpus,
        "memory_bytes": node.allotment.memory_bytes,
        "cores": None if endpoint.cores is None else list(endpoint.cores),
        "max_connections": endpoint.max_connections,
        "notes": list(endpoint.notes),
    }

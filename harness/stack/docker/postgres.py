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
from typing import Any, Self

from harness.dataset import Fixture
from harness.model import PostgresServer
from harness.stack.cores import Held
from harness.stack.docker import cluster as clusters
from harness.stack.docker import session
from harness.stack.docker.cluster import ARCHIVE, DATA, VOLUME, Cluster
from harness.stack.docker.container import Allotment, Place, Plan, created
from harness.stack.docker.images import Image
from harness.stack.docker.node import CONFIGURATION, LOG, Node, Passwords, server_command, set_passwords, write_hba
from harness.stack.docker.replica import ReplicaMaker
from harness.stack.postgres.replicas import Replicas, Room
from harness.stack.postgres.replicated import ReplicatedPostgres
from harness.stack.postgres.seeding import forget_statements
from harness.stack.postgres.settings import NO_STATEMENTS
from harness.stack.stack import Role

NAME = "postgres"
SEEDED = f"/flashcrowd/{ARCHIVE}"

# As root, like the image's own entrypoint, which gives everything to the server's user. Inside this takes a fifth of what the
# engine needs to unpack an archive into a container.
_SCRIPT = f"""
[ -s "$PGDATA/PG_VERSION" ] || tar -xf {SEEDED} -C {VOLUME}
exec docker-entrypoint.sh "$@"
"""


class DockerPostgres(ReplicatedPostgres[Node]):
    """A running PostgreSQL and its replicas; made by :meth:`up`."""

    def __init__(self, primary: Node, replicas: Replicas[Node], asked: PostgresServer, image: Image) -> None:
        super().__init__(primary, replicas, asked)
        self._image = image
        with primary.admin() as admin:
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
        beside: Sequence[Held],
        say: Callable[[str], None],
    ) -> Iterator[Self]:
        """Start the servers with a seeded dataset; removed on every path.

        :param held: what they get, the primary's first
        :param beside: what the other servers of the stack get
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
                cluster.lay_out(place.folder / ARCHIVE)
            container = closing.enter_context(created(place, _plan(asked, image, place, allotment, cluster)))
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
            room = Room(cpus=asked.cpus_of_a_replica, primary=held[0], beside=beside, quotas=True)
            replicas = Replicas(primary, maker, room)
            closing.callback(replicas.close)
            replicas.bring_up(held[1:], say)
            yield cls(primary, replicas, asked, image)

    def describe(self) -> dict[str, Any]:
        """The object ``stack.postgres`` of run.json."""
        return {**super().describe(), "image": self._image.described()}

    def _given(self, node: Node) -> dict[str, Any]:
        return {**super()._given(node), "memory_bytes": node.allotment.memory_bytes}


def _plan(asked: PostgresServer, image: Image, place: Place, allotment: Allotment, cluster: Cluster) -> Plan:
    return Plan(
        name=NAME,
        image=image,
        entrypoint=["/bin/sh", "-euc", _SCRIPT, NAME],
        command=server_command(asked.settings, cluster.version_num, has_statements=cluster.has_statements),
        environment={"PGDATA": DATA, "TZ": "UTC"},
        allotment=allotment,
        binds=[
            (place.log(NAME), LOG, "rw"),
            (place.folder / "conf", CONFIGURATION, "ro"),
            (place.folder / ARCHIVE, SEEDED, "ro"),
        ],
        volumes=[VOLUME],
    )

"""The PostgreSQL of an embedded stack, with its replicas: up, reset, logs, down.

1 find the binaries, and the user to run them as
2 put a copy of the seeded cluster into a folder of its own, seeding it first where the cache has none
3 start the server and read what it says of itself
4 bring up its replicas, each by base backup
5 the run; between variants the database is put back to the seeded state, and the replicas replay that
6 stop the servers and remove their folders, on every path
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from harness.dataset import Fixture
from harness.model import PostgresServer
from harness.stack import cache
from harness.stack.cores import Held
from harness.stack.embedded import account as accounts
from harness.stack.embedded import binaries as programs
from harness.stack.embedded import instance as instances
from harness.stack.embedded import port as ports
from harness.stack.embedded import template
from harness.stack.embedded.node import Node, Program
from harness.stack.embedded.replica import ReplicaMaker
from harness.stack.postgres.replica import BACKUP
from harness.stack.postgres.replicas import Replicas, Room
from harness.stack.postgres.replicated import ReplicatedPostgres
from harness.stack.postgres.settings import NO_STATEMENTS
from harness.stack.stack import Role


class EmbeddedPostgres(ReplicatedPostgres[Node]):
    """A running PostgreSQL and its replicas; made by :meth:`up`."""

    @classmethod
    @contextmanager
    def up(
        cls,
        asked: PostgresServer,
        fixture: Fixture,
        *,
        scale: float,
        seed: int,
        held: Sequence[Held],
        beside: Sequence[Held],
        say: Callable[[str], None],
    ) -> Iterator[Self]:
        """Start the servers with a seeded dataset; torn down on every path.

        :param held: the cores that they get, the primary's first
        :param beside: what the other servers of the stack get
        :raises StackError: a server did not come up
        """
        account = accounts.for_servers()
        binaries = programs.locate(account, (cache.cache_folder(), instances.base()))
        notes = [*binaries.notes, *held[0].notes]
        if account.switched:
            notes.append(f"PostgreSQL refuses to run as root: it runs as user {account.name}")
        if not binaries.has_statements:
            notes.append(NO_STATEMENTS)
        if asked.memory_bytes is not None:
            notes.append("its memory is not limited as the incident asks: that needs --stack docker")
        recipe = template.ClusterRecipe(fixture=fixture, scale=scale, seed=seed, binaries=binaries, account=account)
        program = Program(binaries=binaries, account=account)
        primary = Node(name="postgres", role=Role.WRITER, program=program, held=held[0], notes=tuple(notes))
        maker = ReplicaMaker(primary=primary, settings={**asked.settings, **asked.replica_settings})
        room = Room(cpus=asked.cpus_of_a_replica, primary=held[0], beside=beside)
        replicas = Replicas(primary, maker, room)
        try:
            template.put_into(primary.instance.data, recipe, say)
            primary.launch(asked.settings, port=ports.forced())
            replicas.bring_up(held[1:], say)
            yield cls(primary, replicas, asked)
        finally:
            try:
                # First those that follow: a primary that stops waits until they have got everything.
                replicas.close()
            finally:
                primary.close()

    def why_not(self, action: str) -> str | None:
        """Why it cannot do ``add_replica``; None if it can."""
        binaries = self._primary.program.binaries
        if action != "add_replica" or (binaries.folder / BACKUP).is_file():
            return None
        return f"{binaries.folder} has no {BACKUP}, which a replica is made with: name another PostgreSQL by {programs.FORCED}"

    def check_alive(self) -> str | None:
        """None while all live that are not down on purpose, else how one died: exit status and last log lines."""
        if died := self._primary.how_it_died():
            return died
        for node in self.nodes[1:]:
            if died := node.how_it_died():
                return f"{node.name}: {died}"
        return None

    def _revive_primary(self) -> None:
        # One that died by itself is not brought back in silence.
        if self._primary.down_on_purpose or self._primary.lives:
            super()._revive_primary()

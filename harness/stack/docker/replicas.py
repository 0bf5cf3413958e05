"""All replicas of a primary in a container: those that the topology asks for, and those that the timeline adds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import psycopg

from harness.errors import StackError
from harness.model import PostgresServer
from harness.stack import cores
from harness.stack.cores import Held
from harness.stack.docker.container import Allotment, Container, Place
from harness.stack.docker.images import Image
from harness.stack.docker.node import Node, Passwords
from harness.stack.docker.replica import RESET_REPLAY_S, Replica, primary_position


class Replicas:
    """The replicas of one primary; one at a time comes up or goes.

    :param asked: what the topology says of them
    """

    def __init__(
        self, primary: Node, asked: PostgresServer, *, place: Place, image: Image, passwords: Passwords
    ) -> None:
        self._primary, self._place, self._image, self._passwords = primary, place, image, passwords
        self._settings = {**asked.settings, **asked.replica_settings}
        self._cpus = asked.cpus if asked.replica_cpus is None else asked.replica_cpus
        self._memory_bytes = asked.memory_bytes
        self._changing = threading.Lock()
        self._ending = False
        self._in_the_making: Container | None = None
        self._all: tuple[Replica, ...] = ()

    @property
    def all(self) -> tuple[Replica, ...]:
        """Every one that came up and was not removed, running or not, in order."""
        return self._all

    def bring_up(self, held: Sequence[Held], say: Callable[[str], None]) -> None:
        """Bring up those that the topology asks for.

        :raises StackError: one did not come up
        """
        for number, one in enumerate(held, start=1):
            say(f"base backup for replica {number} of {len(held)}")
            self._make(_name(number), self._allotment(one), one.notes, added=False)

    def add(self) -> Replica:
        """Bring up one more; returns when it takes reads.

        :raises StackError: it did not come up, or the stack is going down
        """
        taken = {replica.node.name for replica in self._all}
        number = next(number for number in range(1, len(taken) + 2) if _name(number) not in taken)
        asked = [self._cpus, self._primary.cpus, *(replica.node.cpus for replica in self._all)]
        room = cores.split(asked, cores.own_cores(), quotas=True).servers[0]
        note = "it was added while the load ran, so its cores may be among the load's"
        return self._make(_name(number), self._allotment(room), (*room.notes, note), added=True)

    def ready_for_reset(self) -> None:
        """Remove what was added, and have the others follow the primary again. One that does not is made anew."""
        for replica in self._all:
            if replica.added:
                self._remove(replica)
        for replica in self._all:
            try:
                replica.ready_for_reset()
            except StackError:
                self._remake(replica)

    def follow_reset(self) -> None:
        """Wait until all have replayed what the primary has now.

        :raises StackError: one does not, not even made anew
        """
        if not self._all:
            return
        position = primary_position(self._primary)
        for replica in self._all:
            try:
                replica.await_replayed(position, RESET_REPLAY_S)
                replica.seeded()
            except (StackError, psycopg.Error):
                self._remake(replica)

    def close(self) -> None:
        """Remove all, also one that another thread is bringing up."""
        self._ending = True
        making = self._in_the_making
        if making is not None:  # its thread waits for it, fails and cleans up after itself
            with suppress(StackError):
                making.remove()
        with self._changing:
            for replica in self._all:
                replica.node.container.remove()
            self._all = ()

    def _allotment(self, held: Held) -> Allotment:
        return Allotment(cpus=held.cpus, memory_bytes=self._memory_bytes, cores=held.cores)

    def _make(self, name: str, allotment: Allotment, notes: tuple[str, ...], *, added: bool) -> Replica:
        with self._changing:
            try:
                self._refuse_at_the_end()
                replica = Replica.make(
                    self._primary,
                    name=name,
                    place=self._place,
                    image=self._image,
                    passwords=self._passwords,
                    allotment=allotment,
                    settings=self._settings,
                    notes=notes,
                    added=added,
                    begun=self._begun,
                )
            finally:
                self._in_the_making = None
            self._all = (*self._all, replica)
            return replica

    def _begun(self, container: Container) -> None:
        self._in_the_making = container
        self._refuse_at_the_end()

    def _refuse_at_the_end(self) -> None:
        if self._ending:
            raise StackError("the stack is going down: no replica is added any more")

    def _remove(self, replica: Replica) -> None:
        with self._changing:
            self._all = tuple(one for one in self._all if one is not replica)
            replica.remove()

    def _remake(self, replica: Replica) -> None:
        position, node = self._all.index(replica), replica.node
        self._remove(replica)
        made = self._make(node.name, node.allotment, node.notes, added=False)
        others = [one for one in self._all if one is not made]
        self._all = (*others[:position], made, *others[position:])


def _name(number: int) -> str:
    return f"postgres-replica-{number}"

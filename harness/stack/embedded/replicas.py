"""All replicas of the embedded primary: those that the topology asks for, and those that the timeline adds."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence

import psycopg

from harness.errors import StackError
from harness.model import PostgresServer
from harness.stack import cores, processes
from harness.stack.cores import Held
from harness.stack.embedded.node import Node
from harness.stack.embedded.replica import RESET_REPLAY_S, Replica, primary_position

ABORT_S = 5.0
LOOK_AGAIN_S = 0.2
LATE = "it joined a load that has its cores already: what it uses of them the load lacks"


class Replicas:
    """The replicas of one primary; one at a time comes up or goes.

    :param asked: what the topology says of them
    """

    def __init__(self, primary: Node, asked: PostgresServer) -> None:
        self._primary = primary
        self._settings = {**asked.settings, **asked.replica_settings}
        self._cpus = asked.cpus_of_a_replica
        self._changing = threading.Lock()
        self._ending = False
        self._in_the_making: Node | None = None
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
            self._make(_name(number), one, added=False)

    def add(self) -> Replica:
        """Bring up one more; returns when it takes reads.

        :raises StackError: it did not come up, or the stack is going down
        """
        taken = {replica.node.name for replica in self._all}
        number = next(number for number in range(1, len(taken) + 2) if _name(number) not in taken)
        return self._make(_name(number), self._room(), added=True)

    def ready_for_reset(self) -> None:
        """Remove what was added, and have the others follow the primary again. One that does not is made anew later."""
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
        while not self._changing.acquire(timeout=LOOK_AGAIN_S):
            making = self._in_the_making
            if making is not None:
                # Its thread waits for one of these, or is about to start it; it fails and cleans up after itself.
                data = making.instance.data
                if not processes.end(processes.of_data_folder(data), number=signal.SIGQUIT, limit_s=ABORT_S):
                    # What a shell started in the background ignores SIGQUIT, and so does the backup that it starts.
                    processes.end(processes.of_data_folder(data))
        try:
            for replica in self._all:
                replica.node.discard()
        finally:
            self._all = ()
            self._changing.release()

    def _make(self, name: str, held: Held, *, added: bool) -> Replica:
        with self._changing:
            try:
                self._refuse_at_the_end()
                replica = Replica.make(
                    self._primary, name=name, held=held, settings=self._settings, added=added, begun=self._begun
                )
            finally:
                self._in_the_making = None
            self._all = (*self._all, replica)
            return replica

    def _begun(self, node: Node) -> None:
        self._in_the_making = node
        self._refuse_at_the_end()

    def _refuse_at_the_end(self) -> None:
        if self._ending:
            raise StackError("the stack is going down: no replica is added any more")

    def _remove(self, replica: Replica) -> None:
        with self._changing:
            self._all = tuple(one for one in self._all if one is not replica)
            replica.remove()

    def _remake(self, replica: Replica) -> None:
        position = self._all.index(replica)
        self._remove(replica)
        made = self._make(replica.node.name, replica.held, added=False)
        others = [one for one in self._all if one is not made]
        self._all = (*others[:position], made, *others[position:])

    def _room(self) -> Held:
        """Cores for one more: those before the others' own, or the ones that all servers share."""
        own = cores.own_cores()
        others = [self._primary.given.cpus, *(replica.held.cpus for replica in self._all)]
        held = cores.split([self._cpus, *others], own).servers[0]
        if not set(held.cores or ()) & set(cores.split(others, own).load or ()):
            return held
        return Held(cpus=held.cpus, cores=held.cores, notes=(*held.notes, LATE))


def _name(number: int) -> str:
    return f"postgres-replica-{number}"

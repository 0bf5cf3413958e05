"""All replicas of a primary: those that the topology asks for, and those that the timeline adds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Generic

import psycopg

from harness.errors import StackError
from harness.stack import cores
from harness.stack.cores import Held
from harness.stack.postgres.replica import Maker, N, Replica, primary_position

#: One that has not replayed a reset after this long is made anew, which takes about as long.
RESET_REPLAY_S = 10.0
ABORT_AGAIN_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a replica may have that joins while the load runs.

    :param cpus: cores that it asks for
    :param primary: what the primary was given
    :param beside: what the other servers of the stack were given that are no replicas
    :param quotas: as for :func:`harness.stack.cores.split`
    :param own: the cores that there are; None: processes cannot be held to any
    """

    cpus: float
    primary: Held
    beside: Sequence[Held] = ()
    quotas: bool = False
    own: tuple[int, ...] | None = field(default_factory=cores.own_cores)

    def left(self, replicas: Sequence[Held]) -> Held:
        """What it gets beside the replicas that there are."""
        others = [one.cpus for one in (self.primary, *replicas, *self.beside)]  # in the order in which they got theirs
        return cores.joining(self.cpus, others, self.own, quotas=self.quotas)


class Replicas(Generic[N]):
    """The replicas of one primary; one at a time comes up or goes.

    :param room: for one more
    """

    def __init__(self, primary: N, maker: Maker[N], room: Room) -> None:
        self._primary, self._maker, self._room = primary, maker, room
        self._changing = threading.Lock()
        self._ending = False
        self._in_the_making: N | None = None
        self._all: tuple[Replica[N], ...] = ()

    @property
    def nodes(self) -> tuple[N, ...]:
        """The server of every one that came up and was not removed, running or not, in order."""
        return tuple(replica.node for replica in self._all)

    def bring_up(self, held: Sequence[Held], say: Callable[[str], None]) -> None:
        """Bring up those that the topology asks for.

        :raises StackError: one did not come up
        """
        for number, one in enumerate(held, start=1):
            say(f"base backup for replica {number} of {len(held)}")
            self._make(_name(number), one, added=False)

    def add(self) -> N:
        """Bring up one more; returns when it takes reads.

        :raises StackError: it did not come up, or the stack is going down
        """
        taken = {node.name for node in self.nodes}
        number = next(number for number in range(1, len(taken) + 2) if _name(number) not in taken)
        held = self._room.left([replica.held for replica in self._all])
        return self._make(_name(number), held, added=True).node

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
        """Remove all, also one that another thread is bringing up; the primary is left as it is."""
        self._ending = True
        while not self._changing.acquire(timeout=ABORT_AGAIN_S):
            making = self._in_the_making
            if making is not None:  # its thread fails and cleans up after itself
                self._maker.abort(making)
        try:
            with ExitStack() as closing:
                for replica in self._all:
                    closing.callback(replica.node.discard)
        finally:
            self._all = ()
            self._changing.release()

    def _make(self, name: str, held: Held, *, added: bool, position: int | None = None) -> Replica[N]:
        """Bring one up, and put it at a position among the others: the last, unless another is said."""
        with self._changing:
            try:
                self._refuse_at_the_end()
                replica = Replica(self._primary, self._maker.prepare(name, held), held=held, added=added)
                replica.bring_up(self._maker, self._begun)
            finally:
                self._in_the_making = None
            made = list(self._all)
            made.insert(len(made) if position is None else position, replica)
            self._all = tuple(made)
            return replica

    def _begun(self, node: N) -> None:
        self._in_the_making = node
        self._refuse_at_the_end()

    def _refuse_at_the_end(self) -> None:
        if self._ending:
            raise StackError("the stack is going down: no replica is added any more")

    def _remove(self, replica: Replica[N]) -> None:
        with self._changing:
            self._all = tuple(one for one in self._all if one is not replica)
            replica.remove()

    def _remake(self, replica: Replica[N]) -> None:
        position = self._all.index(replica)
        self._remove(replica)
        self._make(replica.node.name, replica.held, added=False, position=position)


def _name(number: int) -> str:
    return f"postgres-replica-{number}"

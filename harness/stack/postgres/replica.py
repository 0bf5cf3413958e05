"""A streaming replica: base backup, start, replay; and back to the primary's state at a reset.

How its server is made is the provider's affair, see :class:`Maker`; all else is the same for every provider.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, Protocol, TypeVar

import psycopg

from harness.errors import StackError
from harness.stack.cores import Held
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.postgres.node import Node, make_room
from harness.stack.postgres.seeding import DATABASE, RESET_S, SUPERUSER, forget_statements
from harness.stack.stack import Stage

BACKUP = "pg_basebackup"
#: Of a base backup, besides where it comes from, where it goes, and its slot, which it makes.
BACKUP_OPTIONS = ("-U", SUPERUSER, "-w", "-X", "stream", "-c", "fast", "-C", "--no-sync", "--no-manifest")
#: A full-size dataset of 200 MB takes a second or two; a slow disk takes its time.
BACKUP_S = 300.0
REPLAY_S = 60.0
SLOT_FREE_S = 5.0
LOOK_AGAIN_S = 0.01
NUDGE_S = 0.5

N = TypeVar("N", bound=Node)


class Maker(Protocol[N]):
    """How a provider makes the servers of replicas."""

    def prepare(self, name: str, held: Held) -> N:
        """What will be a replica: it has a place, and nothing of it runs.

        :raises StackError: there is no place for it; nothing is left
        """

    def back_up(self, node: N) -> None:
        """Copy the primary's cluster to it while the primary works, with a slot called :func:`slot_name`.

        :raises StackError: that failed
        """

    def start(self, node: N) -> None:
        """Have it run on that copy and follow the primary, see :func:`following`; returns when it takes connections.

        :raises StackError: it does not come up
        """

    def abort(self, node: N) -> None:
        """Have whatever another thread does to bring it up fail soon; may have to be said again."""


class Replica(Generic[N]):
    """A replica; it takes reads once it was brought up.

    :ivar node: its server
    :ivar held: what it was given at first
    :ivar added: whether it was added to those that the topology asks for
    """

    def __init__(self, primary: N, node: N, *, held: Held, added: bool) -> None:
        self._primary = primary
        self.node = node
        self.held = held
        self.added = added

    def bring_up(self, maker: Maker[N], begun: Callable[[N], None]) -> None:
        """Have it take reads; returns when it has replayed all that the primary had written by then.

        :param begun: is told the server before anything of it runs, so that another thread may end it
        :raises StackError: it did not come up; nothing is left of it
        """
        stages: list[Stage] = []
        try:
            begun(self.node)
            with _timed(stages, "base backup"):
                maker.back_up(self.node)
            with _timed(stages, "start"):
                maker.start(self.node)
            with _timed(stages, "replay"):
                self.await_replayed(primary_position(self._primary), REPLAY_S)
            self.node.stages = tuple(stages)
        except BaseException:
            self.remove()
            raise

    def ready_for_reset(self) -> None:
        """Have it run, follow the primary and replay, with nobody connected who could hold replay up.

        :raises StackError: it does not come up, or is no replica any more
        """
        if not self.node.lives:
            # Whoever fed it waits a minute for one that vanished without a word, and keeps its slot from it meanwhile.
            with suppress(psycopg.Error), self._primary.admin() as admin:
                self._free_slot(admin)
        self.node.revive()
        try:
            make_room(self.node)
            with self.node.admin() as admin:
                if not _value(admin, "SELECT pg_is_in_recovery()"):
                    raise StackError(f"{self.node.name} was promoted: it follows nobody")
                admin.execute("SELECT pg_wal_replay_resume()")
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    f" WHERE datname = '{DATABASE}' AND pid <> pg_backend_pid()".encode()
                )
        except psycopg.Error as error:
            raise StackError(f"{self.node.name} does not answer: {error}") from error

    def await_replayed(self, position: str, limit_s: float) -> None:
        """Wait until it has replayed the primary's log up to a position and streams what comes after.

        :raises StackError: it has not in time, or died
        """
        streams = "EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')"
        replayed = f"SELECT coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, false) AND {streams}"
        ends = time.monotonic() + limit_s
        nudge_s = time.monotonic() + NUDGE_S
        try:
            with self.node.admin() as admin:
                while not _value(admin, replayed, position):
                    if time.monotonic() > nudge_s and not _value(admin, f"SELECT {streams}"):
                        # One that found its primary away looks again after five seconds, or when its settings are read anew.
                        admin.execute("SELECT pg_reload_conf()")
                        nudge_s = time.monotonic() + NUDGE_S
                    if time.monotonic() > ends:
                        raise StackError(
                            f"waited {limit_s:.0f} s for {self.node.name} to replay up to {position}; its last lines:\n"
                            f"{self.node.last_lines()}"
                        )
                    time.sleep(LOOK_AGAIN_S)
        except psycopg.Error as error:
            died = self.node.how_it_died()
            raise StackError(f"{self.node.name} went away while it replayed: {died or error}") from error

    def seeded(self) -> None:
        """After a reset was replayed: its statistics of statements and its logs begin anew."""
        with self.node.admin() as admin:
            forget_statements(admin)
        self.node.logs.mark()

    def remove(self) -> None:
        """Remove it with all that it has, and let the primary forget it."""
        self.node.discard()  # what it would write down in an orderly end is thrown away with its folder
        # A primary that is gone or paused keeps nothing for anybody any more.
        if self._primary.lives and not self._primary.down_on_purpose:
            with suppress(psycopg.Error), self._primary.admin() as admin:
                self._free_slot(admin)
                admin.execute(
                    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
                    [slot_name(self.node.name)],
                )

    def _free_slot(self, admin: psycopg.Connection) -> None:
        """End the primary's session that feeds it, which notices late that a replica vanished."""
        slot, ends = slot_name(self.node.name), time.monotonic() + SLOT_FREE_S
        admin.execute(f"SET statement_timeout = {SLOT_FREE_S * 1000:.0f}".encode())
        held = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s AND active"
        while _value(admin, held, slot) and time.monotonic() < ends:
            admin.execute(
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s AND active",
                [slot],
            )
            time.sleep(LOOK_AGAIN_S)


def slot_name(replica: str) -> str:
    """Name of the replication slot, which keeps the primary from throwing away what the replica has not got yet.

    >>> slot_name("postgres-replica-1")
    'postgres_replica_1'
    """
    return replica.replace("-", "_")


def following(primary: Endpoint, name: str) -> dict[str, str]:
    """The settings by which a server follows the primary as the replica of that name; a password comes otherwise."""
    address = f"host={primary.host} port={primary.port} user={primary.user} sslmode=disable"
    return {
        "primary_conninfo": f"{address} application_name={name}",
        "primary_slot_name": slot_name(name),
        "hot_standby": "on",
    }


def primary_position(primary: Node) -> str:
    """Up to where the primary has written its log to disk, which is what a replica can have.

    :raises StackError: it does not answer
    """
    try:
        with primary.admin() as admin:
            admin.execute(f"SET statement_timeout = {RESET_S * 1000:.0f}".encode())
            return str(_value(admin, "SELECT pg_current_wal_flush_lsn()"))
    except psycopg.Error as error:
        raise StackError(f"{primary.name} does not say how far it has written: {error}") from error


def _value(connection: psycopg.Connection, query: str, *arguments: object) -> object:
    row = connection.execute(query.encode(), arguments).fetchone()
    assert row is not None  # a SELECT without FROM, or of an aggregate
    return row[0]


@contextmanager
def _timed(stages: list[Stage], name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    stages.append(Stage(name=name, took_s=round(time.monotonic() - began, 3)))

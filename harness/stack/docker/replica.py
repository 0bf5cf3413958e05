"""A streaming replica in a container: base backup, start, replay; and back to the primary's state at a reset."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from harness.errors import StackError
from harness.stack.docker import session
from harness.stack.docker.cluster import DATA, VOLUME
from harness.stack.docker.container import Allotment, Container, Place, Plan, create
from harness.stack.docker.images import Image
from harness.stack.docker.node import CONFIGURATION, LOG, Node, Passwords, server_command
from harness.stack.postgres_settings import PRELOADED
from harness.stack.seeding import DATABASE, RESET_S, SUPERUSER, forget_statements
from harness.stack.stack import Role, Stage

BACKUP_S = 300.0
REPLAY_S = 60.0
#: One that has not replayed a reset after this long is made anew, which takes about as long.
RESET_REPLAY_S = 10.0
SLOT_FREE_S = 5.0
LOOK_AGAIN_S = 0.01
BACKED_UP = ".base-backup"  # in the folder of its log: the base backup is there

# As root, like the image's own entrypoint, which gives everything to the server's user. The password is in PGPASSWORD,
# for the backup and for the server's own connection to the primary.
_SCRIPT = f"""
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    pg_basebackup -D "$PGDATA" -h "$PRIMARY" -U {SUPERUSER} -w -X stream -c fast -C -S "$SLOT" --no-sync --no-manifest
    touch "$PGDATA/standby.signal" "{LOG}/{BACKED_UP}"
fi
exec docker-entrypoint.sh "$@"
"""


class Replica:
    """A replica that takes reads; made by :meth:`make`.

    :ivar node: its server
    :ivar added: whether it was added to those that the topology asks for
    """

    def __init__(self, primary: Node, node: Node, *, added: bool) -> None:
        self._primary = primary
        self.node = node
        self.added = added

    @classmethod
    def make(
        cls,
        primary: Node,
        *,
        name: str,
        place: Place,
        image: Image,
        passwords: Passwords,
        allotment: Allotment,
        settings: Mapping[str, str],
        notes: tuple[str, ...],
        added: bool,
        begun: Callable[[Container], None],
    ) -> Replica:
        """Bring one up; returns when it takes reads and has replayed all that the primary had written by then.

        :param begun: is told its container before it runs, so that another thread may remove it
        :raises StackError: it did not come up; nothing is left of it
        """
        following = {
            "primary_conninfo": f"host={primary.container.address} port={session.PORT} user={SUPERUSER} "
            f"sslmode=disable application_name={name}",
            "primary_slot_name": _slot(name),
            "hot_standby": "on",
        }
        plan = Plan(
            name=name,
            image=image,
            entrypoint=["/bin/sh", "-euc", _SCRIPT, "replica"],
            command=server_command(
                {**settings, **following}, primary.endpoint.version_num, has_statements=_preloads_statements(primary)
            ),
            environment={
                "PGDATA": DATA,
                "TZ": "UTC",
                "PRIMARY": primary.container.address,
                "SLOT": _slot(name),
                "PGPASSWORD": passwords.superuser,
            },
            allotment=allotment,
            binds=[(place.log(name), LOG, "rw"), (place.folder / "conf", CONFIGURATION, "ro")],
            volumes=[VOLUME],
        )
        container = create(place, plan)
        node = Node(container=container, role=Role.READER, allotment=allotment, passwords=passwords, notes=notes)
        replica = cls(primary, node, added=added)
        stages: list[Stage] = []
        try:
            begun(container)
            for path in container.log.iterdir():  # of one of the same name that is gone
                path.unlink()
            with _timed(stages, "base backup"):
                container.start()
                _await_backup(container)
            with _timed(stages, "start"):
                session.await_ready(container, passwords.superuser)
            with _timed(stages, "replay"):
                replica.await_replayed(primary_position(primary), REPLAY_S)
            node.stages = tuple(stages)
        except BaseException:
            replica.remove()
            raise
        return replica

    def ready_for_reset(self) -> None:
        """Have it run, follow the primary and replay, with nobody connected who could hold replay up.

        :raises StackError: it does not come up, or is no replica any more
        """
        if self.node.container.main is None or not self.node.container.main.lives():
            # Whoever fed it waits a minute for one that vanished without a word, and keeps its slot from it meanwhile.
            with suppress(psycopg.Error):
                self._free_slot()
        self.node.restore()
        try:
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
        query = (
            "SELECT coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, false)"
            " AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')"
        )
        ends = time.monotonic() + limit_s
        try:
            with self.node.admin() as admin:
                while not _value(admin, query, position):
                    if time.monotonic() > ends:
                        raise StackError(
                            f"waited {limit_s:.0f} s for {self.node.name} to replay up to {position}; its last lines:\n"
                            f"{self.node.container.last_lines()}"
                        )
                    time.sleep(LOOK_AGAIN_S)
        except psycopg.Error as error:
            died = self.node.container.how_it_died()
            raise StackError(f"{self.node.name} went away while it replayed: {died or error}") from error

    def seeded(self) -> None:
        """After a reset was replayed: its statistics of statements and its logs begin anew."""
        with self.node.admin() as admin:
            forget_statements(admin)
        self.node.mark_logs()

    def remove(self) -> None:
        """Remove its container with its disk, and let the primary forget it."""
        self.node.container.remove()
        # A primary that is gone or paused keeps nothing for anybody any more.
        if not self._primary.down_on_purpose and self._primary.how_it_died() is None:
            with suppress(psycopg.Error):
                self._drop_slot()

    def _drop_slot(self) -> None:
        self._free_slot()
        with self._primary.admin() as admin:
            admin.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
                [_slot(self.node.name)],
            )

    def _free_slot(self) -> None:
        """End the primary's session that feeds it, which notices late that a replica vanished."""
        slot, ends = _slot(self.node.name), time.monotonic() + SLOT_FREE_S
        with self._primary.admin() as admin:
            admin.execute(f"SET statement_timeout = {SLOT_FREE_S * 1000:.0f}".encode())
            held = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s AND active"
            while _value(admin, held, slot) and time.monotonic() < ends:
                admin.execute(
                    "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s AND active",
                    [slot],
                )
                time.sleep(LOOK_AGAIN_S)


def primary_position(primary: Node) -> str:
    """Up to where the primary has written its log to disk, which is what a replica can have."""
    with primary.admin() as admin:
        admin.execute(f"SET statement_timeout = {RESET_S * 1000:.0f}".encode())
        return str(_value(admin, "SELECT pg_current_wal_flush_lsn()"))


def _preloads_statements(primary: Node) -> bool:
    with primary.admin() as admin:
        return PRELOADED in str(_value(admin, "SHOW shared_preload_libraries"))


def _slot(name: str) -> str:
    """Name of the replication slot, which keeps the primary from throwing away what the replica has not got yet."""
    return name.replace("-", "_")


def _await_backup(container: Container) -> None:
    done: Path = container.log / BACKED_UP
    ends = time.monotonic() + BACKUP_S
    while not done.exists():
        if died := container.how_it_died():
            raise StackError(f"the base backup failed: {died}")
        if time.monotonic() > ends:
            raise StackError(f"the base backup for {container.name} had not ended after {BACKUP_S:.0f} s")
        time.sleep(LOOK_AGAIN_S)


def _value(connection: psycopg.Connection, query: str, *arguments: object) -> object:
    row = connection.execute(query.encode(), arguments).fetchone()
    assert row is not None  # a SELECT without FROM, or of an aggregate
    return row[0]


@contextmanager
def _timed(stages: list[Stage], name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    stages.append(Stage(name=name, took_s=round(time.monotonic() - began, 3)))

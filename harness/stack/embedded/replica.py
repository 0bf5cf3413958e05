"""A streaming replica of the embedded primary: base backup, start, replay; and back to the primary's state at a reset."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import psycopg

from harness.errors import StackError
from harness.stack.cores import Held
from harness.stack.embedded import port as ports
from harness.stack.embedded import server as servers
from harness.stack.embedded.node import Node
from harness.stack.postgres import Endpoint
from harness.stack.seeding import DATABASE, RESET_S, SUPERUSER, forget_statements
from harness.stack.stack import Role, Stage

#: A full-size dataset of 200 MB takes a second or two; a slow disk takes its time.
BACKUP_S = 300.0
REPLAY_S = 60.0
#: One that has not replayed a reset after this long is made anew, which takes about as long.
RESET_REPLAY_S = 10.0
SLOT_FREE_S = 5.0
LOOK_AGAIN_S = 0.01
NUDGE_S = 0.5
BACKUP = "pg_basebackup"
LAST_FILE = "global/pg_control"  # of what a base backup copies


class Replica:
    """A replica that takes reads; made by :meth:`make`.

    :ivar node: its server
    :ivar added: whether it was added to those that the topology asks for
    """

    def __init__(self, primary: Node, node: Node, *, held: Held, added: bool) -> None:
        self._primary = primary
        self.node = node
        self.held = held
        self.added = added

    @classmethod
    def make(
        cls,
        primary: Node,
        *,
        name: str,
        held: Held,
        settings: Mapping[str, str],
        added: bool,
        begun: Callable[[Node], None],
    ) -> Replica:
        """Bring one up; returns when it takes reads and has replayed all that the primary had written by then.

        :param settings: what is asked of the server
        :param begun: is told the server before it runs, so that another thread may end it
        :raises StackError: it did not come up; nothing is left of it
        """
        node = Node(name=name, role=Role.READER, program=primary.program, held=held, notes=held.notes)
        replica = cls(primary, node, held=held, added=added)
        stages: list[Stage] = []
        try:
            begun(node)
            with _timed(stages, "base backup"):
                replica._back_up()
            (node.instance.data / "standby.signal").touch()
            with _timed(stages, "start"):
                node.launch({**settings, **replica._following()}, port=None)
            with _timed(stages, "replay"):
                replica.await_replayed(primary_position(primary), REPLAY_S)
            node.stages = tuple(stages)
        except BaseException:
            replica.remove()
            raise
        return replica

    @property
    def endpoint(self) -> Endpoint:
        """Where it is."""
        return self.node.endpoint

    @property
    def slot(self) -> str:
        """Name of its replication slot, which keeps the primary from throwing away what it has not got yet."""
        return self.node.name.replace("-", "_")

    def ready_for_reset(self) -> None:
        """Have it run, follow the primary and replay, with nobody connected who could hold replay up.

        :raises StackError: it does not come up, or is no replica any more
        """
        self.node.revive()
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
                            f"{self.node.server.last_lines()}"
                        )
                    time.sleep(LOOK_AGAIN_S)
        except psycopg.Error as error:
            died = self.node.server.how_it_died()
            raise StackError(f"{self.node.name} went away while it replayed: {died or error}") from error

    def seeded(self) -> None:
        """After a reset was replayed: its statistics of statements and its logs begin anew."""
        with self.node.admin() as admin:
            forget_statements(admin)
        self.node.mark_logs()

    def remove(self) -> None:
        """Stop it, remove its folder, and let the primary forget it."""
        self.node.discard()  # what it would write down in an orderly end is thrown away with its folder
        # A primary that is gone or paused keeps nothing for anybody any more.
        if self._primary.lives and not self._primary.down_on_purpose:
            with suppress(psycopg.Error):
                self._drop_slot()

    def _back_up(self) -> None:
        """Copy the primary's cluster while it works."""
        account, endpoint = self.node.program.account, self._primary.endpoint
        command = [self.node.program.binaries.program(BACKUP), "-D", str(self.node.instance.data)]
        command += ["-h", ports.HOST, "-p", str(endpoint.port), "-U", SUPERUSER, "-w"]
        command += ["-X", "stream", "-c", "fast", "-C", "-S", self.slot, "--no-sync", "--no-manifest"]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                cwd=self.node.instance.folder,
                env=servers.environment(),
                timeout=BACKUP_S,
                check=False,
                start_new_session=True,
                **account.spawn_arguments(),
            )
        except subprocess.TimeoutExpired as error:
            raise StackError(f"{BACKUP} for {self.node.name} had not ended after {BACKUP_S:.0f} s") from error
        except OSError as error:
            raise StackError(f"{command[0]} cannot be started ({error}): a replica needs it") from error
        if done.returncode != 0:
            how = f"ended with exit status {done.returncode}"
        elif not (self.node.instance.data / LAST_FILE).is_file():
            # Whoever ends it from another thread may learn its exit status before we do, who are then told 0.
            how = "was ended before its time"
        else:
            return
        raise StackError(f"{BACKUP} for {self.node.name} {how}:\n{done.stdout}{done.stderr}")

    def _following(self) -> dict[str, str]:
        endpoint = self._primary.endpoint
        address = f"host={endpoint.host} port={endpoint.port} user={endpoint.user} sslmode=disable"
        return {
            "primary_conninfo": f"{address} application_name={self.node.name}",
            "primary_slot_name": self.slot,
            "hot_standby": "on",
        }

    def _drop_slot(self) -> None:
        ends = time.monotonic() + SLOT_FREE_S
        with self._primary.admin() as admin:
            admin.execute(f"SET statement_timeout = {SLOT_FREE_S * 1000:.0f}".encode())
            held = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s AND active"
            while _value(admin, held, self.slot) and time.monotonic() < ends:
                admin.execute(  # who feeds a replica that vanished notices it late
                    "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s AND active",
                    [self.slot],
                )
                time.sleep(LOOK_AGAIN_S)
            admin.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", [self.slot]
            )


def primary_position(primary: Node) -> str:
    """Up to where the primary has written its log to disk, which is what a replica can have."""
    with primary.admin() as admin:
        admin.execute(f"SET statement_timeout = {RESET_S * 1000:.0f}".encode())
        return str(_value(admin, "SELECT pg_current_wal_flush_lsn()"))


def _value(connection: psycopg.Connection, query: str, *arguments: object) -> object:
    row = connection.execute(query.encode(), arguments).fetchone()
    assert row is not None  # a SELECT without FROM, or of an aggregate
    return row[0]


@contextmanager
def _timed(stages: list[Stage], name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    stages.append(Stage(name=name, took_s=round(time.monotonic() - began, 3)))

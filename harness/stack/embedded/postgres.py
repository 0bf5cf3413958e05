"""The PostgreSQL of an embedded stack: up, reset, logs, down.

1 find the binaries, and the user to run them as
2 put a copy of the seeded cluster into a folder of its own, seeding it first where the cache has none
3 start the server and read what it says of itself
4 the run; between variants the database is put back to the seeded state
5 stop the server and remove the folder, on every path
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg

from harness.dataset import Fixture
from harness.errors import StackError
from harness.model import PostgresServer
from harness.stack import processes
from harness.stack.cores import Held
from harness.stack.embedded import account as accounts
from harness.stack.embedded import binaries as programs
from harness.stack.embedded import cache, template
from harness.stack.embedded import instance as instances
from harness.stack.embedded import port as ports
from harness.stack.embedded import server as servers
from harness.stack.embedded.instance import Instance
from harness.stack.embedded.server import Server
from harness.stack.postgres import Endpoint
from harness.stack.postgres_settings import JSONLOG_SINCE, full_settings, major_version, settings_in_force
from harness.stack.seeding import APPLICATION_USER, DATABASE, SUPERUSER, reset_database


class EmbeddedPostgres:
    """A running PostgreSQL; made by :meth:`up`.

    :ivar endpoint: the server, at the database that the dataset was seeded into
    """

    def __init__(self, *, server: Server, instance: Instance, endpoint: Endpoint):
        self._server = server
        self._instance = instance
        self._marks: dict[str, int] = {}
        self.endpoint = endpoint
        with self._admin() as admin:
            self._settings = settings_in_force(admin)

    @classmethod
    @contextmanager
    def up(
        cls,
        asked: PostgresServer,
        fixture: Fixture,
        *,
        scale: float,
        seed: int,
        held: Held,
        say: Callable[[str], None],
    ) -> Iterator[Self]:
        """Start a server with a seeded dataset; torn down on every path.

        :param held: the cores that it gets
        :raises StackError: the server did not come up
        """
        account = accounts.for_servers()
        binaries = programs.locate(account, (cache.cache_folder(), instances.base()))
        notes = [*binaries.notes, *held.notes]
        if account.switched:
            notes.append(f"PostgreSQL refuses to run as root: it runs as user {account.name}")
        recipe = template.Recipe(fixture=fixture, scale=scale, seed=seed, binaries=binaries, account=account)
        with instances.make(account) as instance:
            template.put_into(instance.data, recipe, say)
            has_json = major_version(binaries.version) >= JSONLOG_SINCE
            settings = full_settings(asked.settings, log_folder=str(instance.log), has_json=has_json)
            server = servers.start(instance, binaries=binaries, account=account, settings=settings, cores=held.cores)
            try:
                endpoint = _endpoint(server, instance, held, tuple(notes))
                yield cls(server=server, instance=instance, endpoint=endpoint)
            finally:
                server.stop()

    def reset(self) -> None:
        """Put the database back to exactly the seeded state; sessions still connected to it are ended.

        The statistics of statements start anew, and so does what :meth:`save_logs` saves. A session that stays
        connected to another database is left alone.

        :raises StackError: the server does not do it
        """
        try:
            with self._admin() as admin:
                reset_database(admin)
        except psycopg.Error as error:
            died = self.check_alive()
            raise StackError(f"the database could not be reset: {error}{died or self._server.last_lines()}") from error
        self._marks = {path.name: path.stat().st_size for path in self._logs()}

    def check_alive(self) -> str | None:
        """None while the postmaster lives, else how it died: exit status and last log lines."""
        return self._server.how_it_died()

    def save_logs(self, folder: Path) -> None:
        """Copy what the server logged since the last reset into ``folder``, which is made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in self._logs():
            with path.open("rb") as source:
                source.seek(self._marks.get(path.name, 0))
                (folder / path.name).write_bytes(source.read())

    def describe(self) -> dict[str, Any]:
        """The object ``stack.postgres`` of run.json."""
        endpoint = self.endpoint
        return {
            "version": endpoint.version,
            "version_num": endpoint.version_num,
            "cpus": endpoint.cpus,
            "cores": None if endpoint.cores is None else list(endpoint.cores),
            "max_connections": endpoint.max_connections,
            "settings": dict(self._settings),
            "notes": list(endpoint.notes),
        }

    def _logs(self) -> list[Path]:
        return sorted(path for path in self._instance.log.iterdir() if path.is_file())

    def _admin(self) -> psycopg.Connection:
        try:
            return self._server.connect("postgres")
        except psycopg.OperationalError as error:
            # A refusal while connecting has no SQLSTATE in libpq, only its words.
            if "too many clients" not in str(error) and "connection slots" not in str(error):
                raise
        # Superusers filled even the reserved connections. They are to be ended anyway: end them from outside.
        processes.end(self._sessions(), number=signal.SIGTERM, limit_s=10.0)
        return self._server.connect("postgres")

    def _sessions(self) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self._server.pid).children():
            with suppress(psutil.NoSuchProcess):
                # "postgres: USER DATABASE HOST(PORT) what it does"; with cluster_name set that comes first
                words = " ".join(process.cmdline()).split()
                if words[:1] == ["postgres:"] and DATABASE in words[2:4]:
                    found.append(process)
        return found


def _endpoint(server: Server, instance: Instance, held: Held, notes: tuple[str, ...]) -> Endpoint:
    with server.connect(DATABASE) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version'), current_setting('max_connections')::int"
        ).fetchone()
        assert row is not None  # a SELECT without FROM has one row
        connection.execute("SELECT pg_stat_statements_reset()")
        return Endpoint(
            host=ports.HOST,
            port=server.port,
            user=SUPERUSER,
            application_user=APPLICATION_USER,
            database=DATABASE,
            version=row[0].split()[0],
            version_num=connection.info.server_version,
            postmaster_pid=server.pid,
            cpus=held.cpus,
            cores=held.cores,
            log_folder=instance.log,
            max_connections=row[1],
            notes=notes,
        )

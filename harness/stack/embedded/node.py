"""One PostgreSQL of an embedded stack, primary or replica: its folder, its postmaster, and what may be done to it.

It keeps its port however often it is stopped and started, so that its address stays true.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

import psutil
import psycopg

from harness.errors import StackError
from harness.stack import family, processes
from harness.stack.cores import Held
from harness.stack.embedded import instance as instances
from harness.stack.embedded import port as ports
from harness.stack.embedded import server as servers
from harness.stack.embedded.account import Account
from harness.stack.embedded.binaries import Binaries
from harness.stack.embedded.child import Child
from harness.stack.embedded.instance import Instance
from harness.stack.embedded.server import Server
from harness.stack.logs import Logs
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.postgres.seeding import APPLICATION_USER, DATABASE, SUPERUSER, forget_statements
from harness.stack.postgres.settings import JSONLOG_SINCE, About, full_settings, major_version
from harness.stack.stack import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Which PostgreSQL the nodes of a stack run, and as whom."""

    binaries: Binaries
    account: Account

    @property
    def has_json(self) -> bool:
        """Whether it can write its log as JSON."""
        return major_version(self.binaries.version) >= JSONLOG_SINCE


class Node(Child):
    """A PostgreSQL, as the timeline acts upon it; see :class:`harness.stack.stack.Server`.

    :ivar stages: what its coming up took, for a replica
    """

    def __init__(self, *, name: str, role: Role, program: Program, held: Held, notes: tuple[str, ...]) -> None:
        super().__init__(name=name, role=role, held=held)
        self.program = program
        self._notes = notes
        self._closing = ExitStack()
        self._paused = False
        self._settings: dict[str, str] = {}
        self._server: Server | None = None
        self._endpoint: Endpoint | None = None
        self.instance: Instance = self._closing.enter_context(instances.make(program.account))
        self.logs = Logs(self.instance.log)

    def launch(self, settings: Mapping[str, str], *, port: int | None) -> None:
        """Start it on the cluster in its folder for the first time.

        :param settings: what is asked of the server; what measuring needs is added
        :param port: None: a free one
        :raises StackError: it did not come up
        """
        self._settings = full_settings(
            settings,
            log_folder=str(self.instance.log),
            has_json=self.program.has_json,
            has_statements=self.program.binaries.has_statements,
        )
        self._start(port)
        self._endpoint = self._described()

    # --- what it is

    @property
    def endpoint(self) -> Endpoint:
        """Where it is, at the database that the dataset was seeded into."""
        assert self._endpoint is not None, "launched"
        return replace(self._endpoint, postmaster_pid=self.server.pid, cpus=self._held.cpus, cores=self._held.cores)

    @property
    def server(self) -> Server:
        """Its postmaster, the latest one."""
        assert self._server is not None, "launched"
        return self._server

    @property
    def lives(self) -> bool:
        """Whether its postmaster lives, paused or not."""
        return self.server.lives

    @property
    def pid(self) -> int | None:
        """Its postmaster, paused or not; None while it is down."""
        return self.server.pid if self.lives else None

    def how_it_died(self) -> str | None:
        """None while its postmaster lives or is down on purpose, else its exit status and last log lines."""
        return None if self.down_on_purpose else self.server.how_it_died()

    def last_lines(self) -> str:
        """What it said last, indented."""
        return self.server.last_lines()

    # --- what the timeline does to it

    def pause(self) -> None:
        """Stop its processes without ending them.

        :raises StackError: it does not run
        """
        self._need_life()
        self.down_on_purpose = self._paused = True
        family.pause(self.server.pid)

    def resume(self) -> None:
        """Let paused processes go on.

        :raises StackError: it does not run
        """
        self._need_life()
        family.resume(self.server.pid)
        self.down_on_purpose = self._paused = False

    def stop(self) -> None:
        """Shut it down in order: sessions are ended, what is in memory is written."""
        self.down_on_purpose = True
        self._end()

    def kill(self) -> None:
        """End its processes as a power cut does."""
        self.down_on_purpose = True
        family.kill(self.server.pid)
        self._end()

    def start(self) -> None:
        """Start it again on the data that it has, at the port that it had.

        :raises StackError: it runs already, or does not come up
        """
        if self.lives:
            raise StackError(f"{self.name} runs already: it is {'paused' if self._paused else 'not down'}")
        self._start(self.server.port)
        self.down_on_purpose = self._paused = False

    # --- for those who keep it

    def revive(self) -> None:
        """Have it run with what it was given at first, whatever was done to it.

        :raises StackError: it does not come up
        """
        self._hold(self._given)
        if not self.lives:
            self.start()
        elif self._paused:
            self.resume()

    def admin(self) -> psycopg.Connection:
        """A new autocommit session of the superuser at the database ``postgres``.

        :raises psycopg.OperationalError: the server does not take it
        """
        return self.server.connect("postgres")

    def end_sessions(self) -> None:
        """End the processes of the sessions at the load's database."""
        processes.end(self._sessions(), number=signal.SIGTERM, limit_s=10.0)

    def discard(self) -> None:
        """End it without regard for what it holds, and remove its folder; a second call does nothing."""
        self.down_on_purpose = True
        if self._server is not None and self.lives:
            family.kill(self.server.pid)
        self.close()

    def close(self) -> None:
        """Stop it and remove its folder; a second call does nothing."""
        self.down_on_purpose = True
        try:
            if self._server is not None:
                self._end()
        finally:
            self._closing.close()

    # --- inside

    def _start(self, port: int | None) -> None:
        self._server = servers.start(
            self.instance,
            binaries=self.program.binaries,
            account=self.program.account,
            settings=self._settings,
            cores=self._held.cores,
            port=port,
        )

    def _end(self) -> None:
        if self._paused and self.lives:  # what is paused hears no request to stop
            family.resume(self.server.pid)
        self._paused = False
        self.server.stop()

    def _need_life(self) -> None:
        died = self.server.how_it_died()
        if died is not None:
            raise StackError(f"{self.name} is down: {died}")

    def _sessions(self) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self.server.pid).children():
            with suppress(psutil.NoSuchProcess):
                # "postgres: USER DATABASE HOST(PORT) what it does"; with cluster_name set that comes first
                words = " ".join(process.cmdline()).split()
                if words[:1] == ["postgres:"] and DATABASE in words[2:4]:
                    found.append(process)
        return found

    def _described(self) -> Endpoint:
        with self.server.connect(DATABASE) as connection:
            about = About.read(connection)
            forget_statements(connection)
        return Endpoint(
            name=self.name,
            host=ports.HOST,
            port=self.server.port,
            user=SUPERUSER,
            application_user=APPLICATION_USER,
            database=DATABASE,
            version=about.version,
            version_num=about.version_num,
            postmaster_pid=self.server.pid,
            cpus=self._held.cpus,
            cores=self._held.cores,
            log_folder=self.instance.log,
            max_connections=about.max_connections,
            notes=self._notes,
        )

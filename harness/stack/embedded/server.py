"""One postmaster: start it, wait until it is ready, stop it.

It is started in a session of its own, so that a Ctrl-C on the terminal reaches the harness only, and held to its cores
before it forks, so that every backend inherits them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg

from harness.errors import StackError
from harness.stack import processes
from harness.stack.cores import thread_held_to
from harness.stack.embedded import port as ports
from harness.stack.embedded import shared_memory
from harness.stack.embedded.account import Account
from harness.stack.embedded.binaries import Binaries
from harness.stack.embedded.instance import Instance
from harness.stack.embedded.shared_memory import SharedMemory
from harness.stack.postgres.seeding import SUPERUSER
from harness.stack.processes import Identity

STDERR = "postmaster.stderr"
READY_S = 60.0  # a slow disk after a crash; from the cache it takes a fraction of a second
PORTS_TRIED = 5
FAST_S = 20.0
IMMEDIATE_S = 10.0
LOGGER_S = 2.0
SOCKET_PATH_BYTES = 107  # sun_path of Linux; macOS has 103
SHOWN_LINES = 12
OURS = "\n# of Flashcrowd\n"  # in postgresql.conf, before what a start adds to it: the next one begins from here


class Server:
    """A running PostgreSQL; made by :func:`start`."""

    def __init__(self, *, process: subprocess.Popen[bytes], instance: Instance, port: int) -> None:
        self._process = process
        self._instance = instance
        self._memory = SharedMemory()
        self.port = port

    @property
    def pid(self) -> int:
        """The postmaster's process number."""
        return self._process.pid

    def dsn(self, database: str) -> str:
        """Address of one of its databases, for the superuser."""
        return f"postgresql://{SUPERUSER}@{ports.HOST}:{self.port}/{database}?sslmode=disable"

    def connect(self, database: str) -> psycopg.Connection:
        """A new autocommit session of the superuser.

        :raises psycopg.OperationalError: the server does not take it
        """
        return psycopg.connect(
            self.dsn(database), autocommit=True, application_name="flashcrowd-stack", connect_timeout=10
        )

    @property
    def lives(self) -> bool:
        """Whether the postmaster has not ended."""
        return self._process.poll() is None

    def how_it_died(self) -> str | None:
        """None while the postmaster lives, else its exit status and what it said last."""
        status = self._process.poll()
        if status is None:
            return None
        # The logger outlives the postmaster until it has written everything, and orphaned backends until they notice.
        processes.await_end(processes.of_data_folder(self._instance.data), LOGGER_S)
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
        return f"the server (process {self.pid}) {how}; its last lines:\n{last_lines(self._instance.log)}"

    def last_lines(self) -> str:
        """What it said last."""
        return last_lines(self._instance.log)

    def await_death(self, limit_s: float) -> None:
        """Wait until the postmaster has died, at most so long."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(limit_s)

    def note_memory(self) -> None:
        """Write down what it holds outside its folder, for the case that it is killed."""
        self._memory = shared_memory.of_server(self.pid, self._instance.data)
        with suppress(psutil.NoSuchProcess):  # dead already: it is noticed by whoever asks next
            self._instance.record(Identity.of(self.pid), self._memory)

    def stop(self) -> None:
        """Stop it: fast, then immediately, then by killing; afterwards none of its processes is left."""
        try:
            for number, limit_s in ((signal.SIGINT, FAST_S), (signal.SIGQUIT, IMMEDIATE_S)):
                if self._process.poll() is not None:
                    break
                self._process.send_signal(number)
                self.await_death(limit_s)
        finally:  # an impatient second Ctrl-C as well
            if self._process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            # Each backend is in a process group of its own, and the logger outlives the postmaster by a moment.
            left = processes.of_data_folder(self._instance.data)
            processes.end(processes.await_end(left, LOGGER_S))
            self._memory.release()


def start(
    instance: Instance,
    *,
    binaries: Binaries,
    account: Account,
    settings: Mapping[str, str],
    cores: tuple[int, ...] | None,
    port: int | None = None,
) -> Server:
    """Start a server on the cluster in ``instance`` and wait until it takes connections.

    :param settings: what postgresql.conf gets on top of where to listen; the last word over initdb's
    :param port: the one to listen on; None: any that is free
    :raises StackError: it did not come up
    """
    wanted = port
    original = (instance.data / "postgresql.conf").read_text(encoding="utf-8").partition(OURS)[0]
    tried: list[int] = []
    while True:
        port = wanted if wanted is not None else ports.lasting()
        tried.append(port)
        _configure(instance, original, {**settings, **_listening(instance, port)})
        server = _launch(instance, binaries=binaries, account=account, cores=cores, port=port)
        try:
            _await_ready(server, instance)
            return server
        except _PortTaken as error:
            server.stop()
            if wanted is not None:
                raise ports.taken(port, "taken while the server started") from error
            if len(tried) == PORTS_TRIED:
                listed = ", ".join(map(str, tried))
                raise StackError(f"ports {listed} were free and then taken, one after the other") from error
            _clear_logs(instance)
        except BaseException:
            server.stop()
            raise


def last_lines(log_folder: Path, count: int = SHOWN_LINES) -> str:
    """What a server said last, indented: of its log where it has one, else of its standard error."""
    for name in ("postgres.log", STDERR):
        with suppress(FileNotFoundError):
            lines = (log_folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
            if lines:
                return "\n".join(f"    {line}" for line in lines[-count:])
    return "    (it said nothing)"


class _PortTaken(Exception):
    """The port was taken between the choice and the start."""


def _listening(instance: Instance, port: int) -> dict[str, str]:
    socket = f"{instance.folder}/.s.PGSQL.{port}"
    return {
        "listen_addresses": ports.HOST,
        "port": str(port),
        "unix_socket_directories": str(instance.folder) if len(os.fsencode(socket)) <= SOCKET_PATH_BYTES - 4 else "",
    }


def _configure(instance: Instance, original: str, settings: Mapping[str, str]) -> None:
    lines = [f"{name} = '{_quoted(value)}'" for name, value in settings.items()]
    (instance.data / "postgresql.conf").write_text(original + OURS + "\n".join(lines) + "\n", encoding="utf-8")


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _launch(
    instance: Instance, *, binaries: Binaries, account: Account, cores: tuple[int, ...] | None, port: int
) -> Server:
    with (instance.log / STDERR).open("ab") as stderr, thread_held_to(cores):
        try:
            process = subprocess.Popen(
                [binaries.program("postgres"), "-D", str(instance.data)],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                cwd=instance.folder,
                env=environment(),
                start_new_session=True,
                **account.spawn_arguments(),
            )
        except OSError as error:
            raise StackError(f"{binaries.program('postgres')} cannot be started: {error}") from error
    with suppress(psutil.NoSuchProcess):  # gone already: the wait for it will say why
        instance.record(Identity.of(process.pid))
    return Server(process=process, instance=instance, port=port)


def environment() -> dict[str, str]:
    """The environment of the server's programs: none of the caller's PG* variables, messages in English, times in UTC."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _await_ready(server: Server, instance: Instance) -> None:
    begun = time.monotonic()
    while True:
        died = server.how_it_died()
        if died is not None:
            if "Address already in use" in last_lines(instance.log, 40):
                raise _PortTaken
            raise StackError(f"PostgreSQL did not come up: {died}\n{_hint(died)}")
        if _says_ready(server, instance):
            server.note_memory()
            return
        waited = time.monotonic() - begun
        if waited > READY_S:
            raise StackError(
                f"waited {waited:.0f} s for PostgreSQL to take connections on port {server.port}; its last lines:\n"
                f"{last_lines(instance.log)}\n"
                "A disk that is very slow or full, or a machine short of memory, are the usual reasons."
            )
        server.await_death(0.01)  # its death is what is waited for; its readiness is looked at in between


def _says_ready(server: Server, instance: Instance) -> bool:
    # The eighth line of postmaster.pid. To ask by connecting could reach another's server on a port taken meanwhile.
    try:
        lines = (instance.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(server.pid) and lines[7].strip() == "ready"


def _hint(died: str) -> str:
    if "insufficient parameter settings" in died:
        return (
            "A replica needs limits as high as the primary's: see topology.postgres.replica_settings of the incident."
        )
    if "configuration" in died or "parameter" in died:
        return "The server refused a setting: see topology.postgres.settings of the incident."
    if "could not access file" in died:
        return "This build lacks a library of shared_preload_libraries: of PostgreSQL's own they are in its package contrib."
    if "No space left" in died:
        return "The disk is full: free some space, or point TMPDIR to another."
    if "shared memory" in died or "Cannot allocate memory" in died:
        return "Memory is short: lower shared_buffers or max_connections in the incident's settings."
    return "Run it with other binaries (FLASHCROWD_PG_BIN) to see whether it is this build of PostgreSQL."


def _clear_logs(instance: Instance) -> None:
    for path in instance.log.iterdir():
        path.unlink()

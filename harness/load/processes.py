"""Starts Locust's master and workers at once, says go and stop, notices who died, and leaves nobody behind.

Each child has its standard input as a pipe that only the harness holds: when the harness ends, however it ends, the
children see the end of the pipe and end as well. They run in a session of their own, so a terminal's Ctrl-C reaches
the harness alone, which then stops the load in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.clock import Origin
from harness.errors import Exit, FlashcrowdError, RecordingError, StackError
from harness.load import precedence
from harness.load.plan import PLAN_VARIABLE, WORKER_VARIABLE, Plan
from harness.model import Event, Traffic, Users
from harness.record.format import LOGS
from harness.record.reader import read_events

READY_LIMIT_S = 60.0  # importing Locust takes a second or two; a machine that is short of memory may take long
STOP_LIMIT_S = 5.0
POLL_S = 0.05
PLAN_NAME = "plan.json"
MASTER_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A process that ended although it should not have.

    :param worker: its number; None: it was the master
    :param text: which it was, and how it ended
    """

    worker: int | None
    text: str

    def event(self, at_s: float) -> Event:
        """It as an event of the run."""
        return Event(at_s=at_s, kind="worker", text=self.text, fields={"worker": self.worker, "state": "died"})


class LoadProcesses:
    """The processes of one run's load, as an asynchronous context manager.

    :param addresses: environment variables that say where the servers are, which only the workers get
    :param cores: the cores that they may use; None leaves it to the system
    :param alone: whether no server may run there, so that workers may go first (:mod:`harness.load.precedence`)
    """

    def __init__(
        self,
        plan: Plan,
        traffic: Traffic,
        addresses: Mapping[str, str],
        cores: Sequence[int] | None,
        users_class: str | None = None,
        *,
        alone: bool = False,
    ) -> None:
        self._plan = plan
        self._alone = alone
        self._preferred: list[bool] = []
        self._users = _users_to_spawn(traffic, plan.workers)
        self._addresses = dict(addresses)
        self._cores = cores
        self._folder = Path(plan.run_folder)
        self._users_file = Path(plan.incident_folder) / "users.py"
        self._classes = [users_class] if users_class else []
        self._master: asyncio.subprocess.Process | None = None
        self._workers: list[asyncio.subprocess.Process] = []
        self._logs = self._folder / LOGS
        self._heard: dict[int, tuple[int, frozenset[object]]] = {}

    async def __aenter__(self) -> LoadProcesses:
        self._logs.mkdir(exist_ok=True)
        self._plan.write(self._folder / PLAN_NAME)
        try:
            await self._start_all()
        except BaseException as error:
            await self.end(at_once=isinstance(error, asyncio.CancelledError))
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.end(at_once=kind is asyncio.CancelledError)

    @property
    def preferred(self) -> bool:
        """Whether the system lets all workers go first on their cores."""
        return bool(self._preferred) and all(self._preferred)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers, in order."""
        return [worker.pid for worker in self._workers]

    def go(self, origin: Origin) -> None:
        """Tell all workers when the traffic begins."""
        self._tell({"go": asdict(origin)})

    def stop(self) -> None:
        """Tell all workers to end early: what is in flight is cut off."""
        self._tell({"stop": True})

    def use_readers(self, dsns: Sequence[str]) -> None:
        """Tell all workers which replicas take reads from now on; none: reads go to the primary."""
        self._tell({"readers": list(dsns)})

    def done(self) -> bool:
        """Whether every worker has said that its share is over and all is written."""
        return len(self._said("done")) == self._plan.workers

    def settled(self) -> bool:
        """Whether every worker has said so, or is dead."""
        said = self._said("done")
        return all(number in said or worker.returncode is not None for number, worker in enumerate(self._workers))

    def dead(self) -> Death | None:
        """Which process ended although it should not have; None while all is well.

        :raises RecordingError: a worker ended because it could not write
        """
        finished = self._said("done")
        for number, worker in enumerate(self._workers):
            if worker.returncode is None or number in finished:
                continue
            if worker.returncode == Exit.UNKNOWN:
                raise RecordingError(
                    f"worker {number} cannot write to {self._folder}; free some space there, or choose another folder with --out"
                )
            return Death(worker=number, text=f"worker {number} (pid {worker.pid}) ended with {_how(worker.returncode)}")
        if self._master is not None and self._master.returncode is not None:
            text = f"Locust's master (pid {self._master.pid}) ended with {_how(self._master.returncode)}"
            return Death(worker=None, text=text)
        return None

    async def _start_all(self) -> None:
        """Start master and workers together: each takes a second to import what it needs, and a worker's messages wait for
        a master that does not listen yet. Where the master ends, as when another has its port, all begin anew."""
        for attempt in range(1, MASTER_ATTEMPTS + 1):
            with _kept_port() as port:
                self._master = await self._start_master(port)
                for worker in range(self._plan.workers):
                    self._workers.append(await self._start_worker(worker, port))
                if await self._bound(port) and await self._ready():
                    return
            if attempt == MASTER_ATTEMPTS:
                raise StackError(f"Locust's master did not start; its last lines:\n{self._tail('master')}")
            await self.end(at_once=True)
            self._workers.clear()
            self._preferred.clear()
            for worker in range(self._plan.workers):  # whoever's master they met, it was not ours
                self._events_of(worker).unlink(missing_ok=True)

    async def _start_master(self, port: int) -> asyncio.subprocess.Process:
        arguments = ["--master", "--headless", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(port)]
        arguments += ["--expect-workers", str(self._plan.workers), "-u", str(self._users), "-r", "10000"]
        # Its standard input must not be a pipe with a reader in Locust: it reads single keys from a terminal only.
        return await self._start(arguments, "master", {})

    async def _bound(self, port: int) -> bool:
        """Whether somebody came to listen on the master's port; False if it ended instead."""
        deadline = asyncio.get_running_loop().time() + READY_LIMIT_S
        while self._master is not None and self._master.returncode is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return True
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(POLL_S)
        return False

    async def _start_worker(self, number: int, port: int) -> asyncio.subprocess.Process:
        arguments = ["--worker", "--master-host", "127.0.0.1", "--master-port", str(port)]
        environment = {
            "LOCUST_SKIP_MONKEY_PATCH": "1",  # the loop's thread needs no patching, and Locust's own part runs faster without
            PLAN_VARIABLE: str(self._folder / PLAN_NAME),
            WORKER_VARIABLE: str(number),
            **self._addresses,
        }
        worker = await self._start(arguments, f"worker-{number}", environment)
        self._preferred.append(self._alone and precedence.prefer(worker.pid))
        return worker

    async def _start(
        self, arguments: Sequence[str], name: str, environment: dict[str, str]
    ) -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "harness.load.child", "-f", str(self._users_file), *arguments, *self._classes]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
        plan = {PLAN_VARIABLE: str(self._folder / PLAN_NAME), WORKER_VARIABLE: "0"}
        with (self._logs / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**inherited, **plan, **environment, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        if self._cores and hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(process.pid, self._cores)
        return process

    async def _ready(self) -> bool:
        """Whether all workers came to be ready; False if the master ended instead, as when another listens on its port."""
        deadline = asyncio.get_running_loop().time() + READY_LIMIT_S
        while len(self._said("ready")) < self._plan.workers:
            if death := self.dead():
                if death.worker is None:
                    return False
                last = self._tail(f"worker-{death.worker}")
                raise FlashcrowdError(f"{death.text} before it was ready; its last lines:\n{last}")
            if asyncio.get_running_loop().time() > deadline:
                raise FlashcrowdError(
                    f"{len(self._said('ready'))} of {self._plan.workers} workers were ready after {READY_LIMIT_S:.0f} s; "
                    f"last lines of the first:\n{self._tail('worker-0')}"
                )
            await asyncio.sleep(POLL_S)
        return True

    def _said(self, state: str) -> set[int]:
        return {number for number in range(self._plan.workers) if state in self._states(number)}

    def _states(self, number: int) -> frozenset[object]:
        """All that a worker has said of itself. It is asked often and says little: its file is read when it has grown."""
        path = self._events_of(number)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            size = 0
        known = self._heard.get(number)
        if known is None or known[0] != size:
            states = frozenset(event.fields.get("state") for event in read_events(path) if event.kind == "worker")
            known = self._heard[number] = (size, states)
        return known[1]

    def _events_of(self, number: int) -> Path:
        return self._folder / f"events-worker-{number}.jsonl"

    def _tell(self, command: dict[str, object]) -> None:
        line = (json.dumps(command) + "\n").encode()
        for worker in self._workers:
            if worker.returncode is None and worker.stdin is not None:
                worker.stdin.write(line)

    def _tail(self, name: str, lines: int = 15) -> str:
        path = self._logs / f"{name}.log"
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else "(no output)"
        return "\n".join(text.splitlines()[-lines:])

    async def end(self, *, at_once: bool = False) -> None:
        """End every process: asked first, then killed with its whole session. A second call does nothing.

        :param at_once: kill without asking; what a worker has not written is lost
        """
        # The master has nothing to write, and asked to end it would wait a second for reports of workers that have gone.
        for child in [self._master] if self._master else []:
            _end_session(child)
        for child in self._workers:
            if at_once:
                _end_session(child)
            elif child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.terminate()
        for child in [*self._workers, *([self._master] if self._master else [])]:
            try:
                async with asyncio.timeout(STOP_LIMIT_S):
                    await child.wait()
            except TimeoutError:
                _end_session(child)
                await child.wait()
            if child.stdin is not None:
                child.stdin.close()


def _end_session(child: asyncio.subprocess.Process) -> None:
    """Kill a process, where it lives, with its whole session."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


def _users_to_spawn(traffic: Traffic, workers: int) -> int:
    """How many Locust users stand for the crowd: one a worker for open arrivals, else the most that any phase has."""
    counts = [phase.users for phase in traffic.phases if isinstance(phase, Users)]
    return max(counts, default=workers)


@contextlib.contextmanager
def _kept_port() -> Iterator[int]:
    """A free port of loopback, which the system gives to nobody else meanwhile, where it is Linux.

    There a socket that only holds an address is no obstacle to one that listens there, if both allow it, as Locust's does; so
    that nobody else's workers or clients come to our master, and ours to nobody else's.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = int(holder.getsockname()[1])
        if sys.platform != "linux":
            holder.close()
        yield port


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

"""An instance of a service as a child process: its folder, its memory, its end.

A control group of its own would need rights that an ordinary user lacks, and a limit on the address space (RLIMIT_AS) is
another thing: an interpreter maps far more than it uses. So the supervisor's look, twenty times a second, holds it to its
memory: what is found to use more is killed, as the kernel would do. What it grows by between two looks is not
seen, nor a new child's memory for half a second.

It runs as the user of the harness, as everything does that belongs to an incident: its files may be readable to nobody else.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil

from harness.errors import StackError
from harness.model import Service
from harness.stack import cores, family, processes
from harness.stack.cores import Held
from harness.stack.embedded import account as accounts
from harness.stack.embedded import instance as instances
from harness.stack.embedded import port as ports
from harness.stack.embedded.child import Child
from harness.stack.embedded.instance import Instance
from harness.stack.processes import SERVICE_LOG, Identity
from harness.stack.services import service as services
from harness.stack.services.service import FOR_WANT_OF_MEMORY, ServiceEndpoint
from harness.stack.stack import Footprint, Role

STOP_S = 20.0
SHOWN_LINES = 12
LIST_EVERY_S = 0.5  # where the kernel does not tell children, listing them takes milliseconds


class EmbeddedPlace:
    """Where one instance runs; implements :class:`harness.stack.services.instance.Place`."""

    host = ports.HOST

    def __init__(self, service: Service, name: str, held: Held, instance: Instance) -> None:
        self._service, self._instance = service, instance
        self.held = held
        port = ports.lasting() if service.listens else None
        self.endpoint = ServiceEndpoint(name=name, service=service.name, host=ports.HOST, port=port)

    @property
    def log_file(self) -> Path:
        """What it prints."""
        return self._instance.log / SERVICE_LOG

    @property
    def folder(self) -> str:
        """Its working folder."""
        return str(self._instance.data)

    def make(self, environment: Mapping[str, str]) -> ServiceProcess:
        """A process that has not been started."""
        return ServiceProcess(self._service, self.endpoint.name, self.held, self._instance, environment)


@contextmanager
def place(service: Service, name: str, held: Held) -> Iterator[EmbeddedPlace]:
    """A place for one instance; its folder is removed on every path."""
    with instances.make(accounts.own()) as instance:
        yield EmbeddedPlace(service, name, held, instance)


class ServiceProcess(Child):
    """The process of an instance, with all that it starts; implements :class:`harness.stack.services.instance.Node`."""

    def __init__(
        self, service: Service, name: str, held: Held, instance: Instance, environment: Mapping[str, str]
    ) -> None:
        super().__init__(name=name, role=Role.SERVICE, held=held)
        self._service, self._instance = service, instance
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._over_memory: str | None = None
        self._descendants: list[int] = []
        self._listed_s = 0.0

    @property
    def pid(self) -> int | None:
        """Its main process, paused or not; None while it is down."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def look(self) -> str | None:
        """None while it runs or is down on purpose, else how it died; kills it where it uses more memory than it may."""
        if self._process is None or self.down_on_purpose:
            return None
        if self._process.poll() is None:
            self._hold_to_memory(self._process)
        status = self._process.poll()
        if status is None:
            return None
        if self._over_memory is not None:
            how = self._over_memory
        elif status < 0:
            how = f"was killed by {signal.Signals(-status).name}"
        else:
            how = f"ended with exit status {status}"
        return f"{self.name} (process {self._process.pid}) {how}; its last lines:\n{self._last_lines()}"

    def footprint(self) -> Footprint | None:
        """Where its CPU and memory are read now, and what it may use; None while it is down."""
        found = super().footprint()
        return None if found is None else replace(found, memory_bytes=self._service.memory_bytes)

    def pause(self) -> None:
        """Stop its processes without ending them.

        :raises StackError: it is down, or one does not stop
        """
        process = self._running()
        self.down_on_purpose = True
        family.pause(process.pid)

    def resume(self) -> None:
        """Let them go on.

        :raises StackError: it is down
        """
        family.resume(self._running().pid)
        self.down_on_purpose = False

    def stop(self) -> None:
        """Ask it to end (SIGTERM); what does not is killed.

        :raises StackError: it is down
        """
        process = self._running()
        self.down_on_purpose = True
        family.resume(process.pid)  # a paused one would not hear
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        self._end()

    def kill(self) -> None:
        """End its processes as a power cut does.

        :raises StackError: it is down
        """
        self._running()
        self.down_on_purpose = True
        self._end()

    def start(self) -> None:
        """Start it in an empty folder; it is not ready yet.

        :raises StackError: it runs, or cannot be started
        """
        if self.pid is not None:
            raise StackError(f"{self.name} runs: stop or kill it first, or resume it where it is paused")
        self._end()  # what it had started and left behind holds its port
        self._over_memory = None
        self._descendants, self._listed_s = [], 0.0
        shutil.rmtree(self._instance.data, ignore_errors=True)
        self._instance.data.mkdir()
        command = services.arguments(self._service.command)
        log = self._instance.log / SERVICE_LOG
        with log.open("ab") as printed, cores.thread_held_to(self._held.cores):
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=printed,
                    cwd=self._instance.data,
                    env=self._environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise StackError(f"{self.name}: {command[0]} cannot be started: {error}") from error
        with suppress(psutil.NoSuchProcess):  # gone already: whoever looks next is told
            self._instance.record(Identity.of(self._process.pid))
        self.down_on_purpose = False

    def remove(self) -> None:
        """End it with all that it started."""
        self._end()

    def _hold_to_memory(self, process: subprocess.Popen[bytes]) -> None:
        limit = self._service.memory_bytes
        if limit is None:
            return
        if time.monotonic() - self._listed_s > LIST_EVERY_S:
            self._descendants, self._listed_s = family.descendants(process.pid), time.monotonic()
        used = family.memory_bytes([process.pid, *self._descendants], enough=limit)
        if used > limit:
            self._over_memory = (
                f"was killed {FOR_WANT_OF_MEMORY}: it used {used / 1024**2:.0f} MB and may use {limit / 1024**2:.0f} MB"
            )
            self._end()

    def _end(self) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            family.kill(self._process.pid)
            processes.reap(self._process, self.name)
        processes.end(processes.of_data_folder(self._instance.data))

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise StackError(f"{self.name} is down already")
        return self._process

    def _last_lines(self) -> str:
        text = (self._instance.log / SERVICE_LOG).read_text(encoding="utf-8", errors="replace")
        return "\n".join(f"    {line}" for line in text.splitlines()[-SHOWN_LINES:]) or "    (it said nothing)"

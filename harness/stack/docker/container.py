"""One container: create it, put data into it, start it, tell how it died, remove it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from docker.errors import APIError, NotFound
from docker.types import LogConfig

from harness.errors import StackError
from harness.stack.docker.disks import Disk, Disks
from harness.stack.docker.engine import FAILURES, Engine
from harness.stack.docker.images import Image
from harness.stack.docker.labels import Labels
from harness.stack.docker.network import Network
from harness.stack.embedded.mongod import LOG as MONGOD_LOG
from harness.stack.embedded.mongod import last_lines as mongod_lines
from harness.stack.processes import SERVICE_LOG, Identity
from harness.stack.services.service import FOR_WANT_OF_MEMORY

PERIOD_US = 100_000  # of the CPU quota; the kernel's and Docker's default
SHARED_MEMORY_BYTES = (
    1 << 30
)  # parallel queries share memory through /dev/shm, of which a container gets 64 MB otherwise
STOP_S = 20
SETTLE_S = 10.0  # the engine hears of a process's end a moment after it
INSPECT_S = 1.0  # between two looks where the process itself cannot be seen
SHOWN_LINES = 12
POSTGRES_LOG = "postgres.log"
KILLED = 137  # 128 + SIGKILL


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What all containers of a stack have in common.

    :param folder: of this machine, with a folder for each server's log
    """

    engine: Engine
    network: Network
    labels: Labels
    folder: Path
    disks: Disks

    def log(self, server: str) -> Path:
        """The folder that a server writes its log into; made where it is missing."""
        path = self.folder / server
        path.mkdir(exist_ok=True)
        path.chmod(0o777)  # the user in the container is none of this machine's
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Allotment:
    """What a container may use.

    :param cores: those that it is held to; None: any
    """

    cpus: float
    memory_bytes: int | None
    cores: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a container is to be made.

    :param name: of the server
    :param environment: holds passwords, so it is never shown
    :param binds: folders of this machine and where they are seen inside, with ``ro`` or ``rw``
    :param volumes: folders inside that are disk of the container's own
    :param options: further arguments of the engine's ``create``
    """

    name: str
    image: Image
    command: Sequence[str]
    entrypoint: Sequence[str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    allotment: Allotment
    binds: Sequence[tuple[Path, str, str]] = ()
    volumes: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


class Container:
    """A container with an address of its own; made by :func:`create`.

    :ivar address: it keeps it as long as it is there
    :ivar main: its main process on this machine; None: not running, or not seen from here
    """

    def __init__(self, *, place: Place, plan: Plan, number: str, address: str, disk: Disk | None) -> None:
        self._place, self._plan, self._number, self._disk = place, plan, number, disk
        self._api = place.engine.client.api
        self._looked_s = 0.0
        self.address = address
        self.main: Identity | None = None

    @property
    def name(self) -> str:
        """The server's name."""
        return self._plan.name

    @property
    def log(self) -> Path:
        """The folder that the server writes its log into."""
        return self._place.log(self.name)

    def get(self, path: str, archive: Path) -> None:
        """Pack a file or folder of the container into an archive."""
        with _told(f"{path} could not be got out of {self.name}"), archive.open("wb") as file:
            chunks, _ = self._api.get_archive(self._number, path)
            for chunk in chunks:
                file.write(chunk)

    def start(self) -> None:
        """Start it.

        :raises StackError: the engine does not; what it said
        """
        with _told(f"container {self.name} could not be started"):
            self._api.start(self._number)
        pid = self.state()["Pid"]
        self.main = None
        with suppress(psutil.NoSuchProcess):
            if pid and self._is_ours(pid):
                self.main = Identity.of(pid)

    def state(self) -> dict[str, Any]:
        """What the engine says of it.

        :raises StackError: the engine does not know it
        """
        with _told(f"container {self.name} cannot be asked after"):
            state: dict[str, Any] = self._api.inspect_container(self._number)["State"]
            return state

    @property
    def lives(self) -> bool:
        """Whether it runs, frozen or not; False where the engine, asked where its process cannot be seen, does not know."""
        if self.main is not None:
            return self.main.lives()
        with suppress(StackError):
            return bool(self.state()["Running"])
        return False

    def how_it_died(self) -> str | None:
        """None while it runs, else why it ended: exit status, want of memory, last lines. Cheap while it runs."""
        if self.main is not None and self.main.lives():
            return None
        if self.main is None and time.monotonic() - self._looked_s < INSPECT_S:
            return None
        self._looked_s = time.monotonic()
        try:
            state = self._settled()
        except StackError as error:
            return str(error)
        if state["Running"]:
            return None
        status, lacked_memory = state["ExitCode"], state["OOMKilled"]
        if lacked_memory and status == KILLED:
            how = f"was killed {FOR_WANT_OF_MEMORY}: it may use {_limit(self._plan.allotment)} (OOMKilled)"
        elif status > 128:
            how = f"was killed by signal {status - 128} (exit status {status})"
        else:
            how = f"ended with exit status {status}"
        if lacked_memory and status != KILLED:
            how += f", after the kernel had killed a process of it for want of memory ({_limit(self._plan.allotment)})"
        said = f": {state['Error']}" if state.get("Error") else ""
        return f"the server {self.name} {how}{said}; its last lines:\n{self.last_lines()}"

    def last_lines(self) -> str:
        """What the server said last, indented: in its log where it has one, else on its standard output."""
        if (self.log / MONGOD_LOG).exists():
            return mongod_lines(self.log)
        lines: list[str] = []
        for name in (POSTGRES_LOG, SERVICE_LOG):
            with suppress(OSError):
                lines = (self.log / name).read_text(encoding="utf-8", errors="replace").splitlines()
        if not lines:
            with suppress(*FAILURES):
                lines = self._api.logs(self._number, tail=SHOWN_LINES).decode(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-SHOWN_LINES:]) or "    (it said nothing)"

    def pause(self) -> None:
        """Freeze its processes."""
        if not self.state()["Paused"]:
            with _told(f"{self.name} could not be paused"):
                self._api.pause(self._number)

    def resume(self) -> None:
        """Let them go on; nothing happens where they do."""
        if self.state()["Paused"]:
            with _told(f"{self.name} could not be resumed"):
                self._api.unpause(self._number)

    def stop(self) -> None:
        """Shut the server down in order, at last by killing; returns when it has ended."""
        self.resume()
        with _told(f"{self.name} could not be stopped"):
            self._api.stop(self._number, timeout=STOP_S)
        self._await_end()

    def kill(self) -> None:
        """Kill it; returns when it has ended."""
        self.resume()
        with _told(f"{self.name} could not be killed"):
            self._api.kill(self._number)
        self._await_end()

    def cut_off(self) -> None:
        """Take it off the network."""
        with _told(f"{self.name} could not be cut off"):
            self._place.network.disconnect(self._number)

    def rejoin(self) -> None:
        """Put it back on the network, at its address."""
        with _told(f"{self.name} could not rejoin the network"):
            self._place.network.connect(self._number, self.address)

    def allot(self, cpus: float, cores: tuple[int, ...] | None) -> None:
        """Give it another CPU quota, and other cores."""
        held = {} if cores is None else {"cpuset_cpus": ",".join(map(str, cores))}
        with _told(f"{self.name} could not be allotted {cpus:g} cores"):
            self._api.update_container(self._number, cpu_period=PERIOD_US, cpu_quota=round(cpus * PERIOD_US), **held)

    def await_exit(self, limit_s: float) -> int:
        """Wait until it has ended by itself; its exit status.

        :raises StackError: it has not
        """
        with _told(f"{self.name} did not end within {limit_s:.0f} s"):
            return int(self._api.wait(self._number, timeout=limit_s)["StatusCode"])

    def remove(self) -> None:
        """Kill it if it runs and remove it with its disk; nothing happens where it is gone."""
        self._remove()
        if self._disk is not None:
            self._disk.remove()

    def _remove(self) -> None:
        ends = time.monotonic() + SETTLE_S
        while True:
            try:
                self._api.remove_container(self._number, force=True, v=True)
                return
            except NotFound:
                return
            except APIError as error:
                # Somebody else is removing it: the network can be removed only when that is done.
                if error.status_code != 409 or time.monotonic() > ends:
                    raise StackError(f"container {self.name} could not be removed: {error}") from error
                time.sleep(0.05)
            except FAILURES as error:
                raise StackError(
                    f"container {self.name} could not be removed ({error}): "
                    "`flashcrowd gc` removes it when the engine answers again"
                ) from error

    def _is_ours(self, pid: int) -> bool:
        """Whether that process of this machine is the container's: where we are in a container, numbers mean others."""
        with suppress(OSError):
            return self._number in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
        return False

    def _settled(self) -> dict[str, Any]:
        ends = time.monotonic() + SETTLE_S
        while True:
            state = self.state()
            # Its process is gone: either the engine says so in a moment, or it has another one.
            if not state["Running"] or self.main is None or state["Pid"] != self.main.pid or time.monotonic() > ends:
                return state
            time.sleep(0.02)

    def _await_end(self) -> None:
        self.await_exit(SETTLE_S)
        self.main = None


@contextmanager
def created(place: Place, plan: Plan, address: str | None = None) -> Iterator[Container]:
    """Create a container; removed on every path.

    :param address: one that it is to have; None: a new one
    :raises StackError: the engine does not create it
    """
    container = create(place, plan, address)
    try:
        yield container
    finally:
        container.remove()


def create(place: Place, plan: Plan, address: str | None = None) -> Container:
    """Create a container on the stack's network; it is not started.

    :param address: one that it is to have; None: a new one
    :raises StackError: the engine does not create it
    """
    address = address or place.network.new_address()
    engine, allotment = place.engine, plan.allotment
    limits: dict[str, Any] = {"cpu_period": PERIOD_US, "cpu_quota": round(allotment.cpus * PERIOD_US)}
    if allotment.cores is not None:
        limits["cpuset_cpus"] = ",".join(map(str, allotment.cores))
    if allotment.memory_bytes is not None:
        # No swap on top: a database that swaps is another incident.
        limits |= {"mem_limit": allotment.memory_bytes, "memswap_limit": allotment.memory_bytes}
    binds = [f"{path}:{inside}:{mode}" for path, inside, mode in plan.binds]
    disk = place.disks.make(plan.name) if plan.volumes else None
    with _told(f"container {plan.name} could not be created"):
        made = engine.testcontainers.create(
            plan.image.id,
            command=list(plan.command),
            environment=dict(plan.environment),
            labels=place.labels.all(plan.name),
            name=f"{place.labels.stack}-{plan.name}",
            hostname=plan.name,
            entrypoint=None if plan.entrypoint is None else list(plan.entrypoint),
            network=place.network.name,
            networking_config={
                place.network.name: engine.client.api.create_endpoint_config(ipv4_address=address, aliases=[plan.name])
            },
            volumes=[*binds, *plan.volumes] if disk is None else binds,
            mounts=[] if disk is None else [disk.volume(inside) for inside in plan.volumes],
            shm_size=SHARED_MEMORY_BYTES,
            log_config=LogConfig(type=LogConfig.types.JSON, config={"max-size": "10m"}),
            **limits,
            **plan.options,
        )
    return Container(place=place, plan=plan, number=str(made.id), address=address, disk=disk)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Whatever the engine refuses, as an error of ours.

    :raises StackError: it refused
    """
    try:
        yield
    except FAILURES as error:
        raise StackError(f"{what}: {getattr(error, 'explanation', None) or error}") from error


def _limit(allotment: Allotment) -> str:
    if allotment.memory_bytes is None:
        return "all memory of this machine"
    return f"{allotment.memory_bytes / 1024**2:.0f} MB"

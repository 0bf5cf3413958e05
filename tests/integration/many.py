"""A process that brings stacks up and down, one after the other; and what all of several such processes had and left.

Its argument is the provider. Writes JSON lines: what each stack had while it was up, and what the process itself held open
in the end that it did not after its first stack.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from harness.model import Dataset, MongoReplicaSet, PostgresServer, Service, Topology
from harness.stack.embedded import shared_memory
from harness.stack.processes import Identity
from harness.stack.stack import Role, Stack
from tests.integration.command import PATIENCE_S, Place
from tests.integration.conftest import SCALE, SEED

#: What a process brings up, one after the other: every kind of server together, then one kind alone; a service before each.
WORKER = Service(name="worker", command=("sleep", "600"), listens=False)
ALL = Topology(postgres=PostgresServer(replicas=1), mongo=MongoReplicaSet(members=1), services=(WORKER,))
PRIMARY = Topology(postgres=PostgresServer(), services=(WORKER,))
MEMBER = Topology(postgres=None, mongo=ALL.mongo, services=(WORKER,))
TOPOLOGIES = (ALL, PRIMARY, MEMBER, PRIMARY, MEMBER)
DATASET = Dataset(module="tests.integration.stack.both", version=1)
PROCESSES = 4
LIMIT_S = 170.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Had:
    """What one stack had while it was up, as it is told from outside.

    :param processes: number and start of the servers' processes
    :param folders: of this machine, that the servers keep their files in
    :param ports: those of this machine that they listen on
    :param shared: names of shared memory, and numbers of System V segments
    :param containers: numbers of containers, their networks and volumes
    """

    processes: Sequence[tuple[int, float]]
    folders: Sequence[str]
    ports: Sequence[int] = ()
    shared: Sequence[str] = ()
    segments: Sequence[int] = ()
    containers: Sequence[str] = ()
    networks: Sequence[str] = ()
    volumes: Sequence[str] = ()


def of_twenty(place: Place, provider: str) -> list[Had]:
    """Bring twenty stacks up and down, some at a time, in processes that hold nothing open afterwards."""
    runner = (sys.executable, "-m", __name__)
    begun = [place.begin(provider, program=runner) for _ in range(PROCESSES)]
    found: list[Had] = []
    for command in begun:
        assert command.end(LIMIT_S) == 0, command.printed
        *told, kept = (json.loads(line) for line in command.printed.splitlines())
        assert kept == {}, "of what the process itself had open after its first stack"
        found += [Had(**one) for one in told]
    assert len(found) == PROCESSES * len(TOPOLOGIES) == 20
    return found


def left(place: Place, had: Sequence[Had]) -> list[str]:
    """What is there of it now, apart from what a container's engine has to tell; and whatever else is in the place."""
    found = [f"process {pid}" for one in had for pid, started_s in one.processes if Identity(pid=pid, started_s=started_s).lives()]  # fmt: skip
    ours = {process.pid for process in place.processes()}
    wanted = {port for one in had for port in one.ports}
    listening = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    found += [f"port {one.laddr[1]}" for one in listening if one.laddr[1] in wanted and one.pid in {None, *ours}]
    found += [path for one in had for path in (*one.folders, *one.shared) if Path(path).exists()]
    found += [f"segment {number}" for number in _segments() & {number for one in had for number in one.segments}]
    kept = {f"flashcrowd-{os.geteuid()}", *(command.printed_to.name for command in place.begun)}
    found += [str(path) for path in place.folder.iterdir() if path.name not in kept]
    found += [str(path) for path in place.folder.glob("flashcrowd-*/*") if path.name not in ("lock", "images.lock")]
    return [*found, *place.left()]


def _segments() -> set[int]:
    """Numbers of the System V segments that are there."""
    listed = Path("/proc/sysvipc/shm")
    return {int(line.split()[1]) for line in listed.read_text().splitlines()[1:]} if listed.exists() else set()


def _had(stack: Stack, provider: str) -> Had:
    mains = [footprint.pid for server in stack.servers.values() if (footprint := server.footprint())]
    family = list(_family(mains))
    processes = [(one.pid, one.started_s) for one in family]
    endpoints = [one for one in (stack.postgres, *stack.replicas) if one is not None]
    members = () if stack.mongo is None else stack.mongo.members
    logs = [*(one.log_folder for one in endpoints), *(one.log_file for one in members)]
    if provider == "docker":
        return Had(processes=processes, **_engines())
    instances = [path.parent for path in logs if path is not None]
    services = [server.footprint() for server in stack.servers.values() if server.role is Role.SERVICE]
    works = [Path(psutil.Process(footprint.pid).cwd()) for footprint in services if footprint]  # in its folder's data
    memory = [
        shared_memory.of_server(one.postmaster_pid, folder / "data")
        for one, folder in zip(endpoints, instances, strict=False)
        if one.postmaster_pid is not None
    ]
    return Had(
        processes=processes,
        ports=[one.port for one in (*endpoints, *members)],
        folders=[str(path) for path in (*instances, *(path.parent for path in works))],
        shared=sorted({name for one in family for name in _shared(one.pid)}),
        segments=[one.segment[1] for one in memory if one.segment is not None],
    )


def _family(mains: Sequence[int]) -> Iterator[Identity]:
    for pid in mains:
        for process in (main := psutil.Process(pid), *main.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # a worker of the server that has done its work
                yield Identity.of(process.pid)


def _shared(pid: int) -> list[str]:
    """Files of shared memory that a process has mapped."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/maps").read_text().split()
        return [word for word in words if word.startswith("/dev/shm/PostgreSQL.")]
    return []


def _engines() -> dict[str, list[str]]:
    """Containers, networks and volumes of this process's one stack, as the engine has them."""
    import docker  # which an embedded stack has no use for

    from harness.stack.docker import labels
    from harness.stack.docker.node import LOG

    client = docker.from_env()
    try:
        mine = [
            one
            for one in client.api.containers(filters={"label": labels.OWNER})
            if (owner := labels.owner(one["Labels"])) is not None and owner.pid == os.getpid()
        ]
        networks = {net["NetworkID"] for one in mine for net in one["NetworkSettings"]["Networks"].values()}
        mounts = [mount for one in mine for mount in one["Mounts"]]
        volumes = {mount["Name"] for mount in mounts if mount["Type"] == "volume"}
        logs = {mount["Source"] for mount in mounts if mount["Destination"] == LOG}
    finally:
        client.close()
    return {
        "containers": [one["Id"] for one in mine],
        "networks": sorted(networks),
        "volumes": sorted(volumes),
        "folders": sorted(logs),
    }


def _open() -> Counter[str]:
    """What this process holds: descriptors, threads and children, and the cores that it is held to."""
    found: Counter[str] = Counter()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one by which they are listed
            target = str(entry.readlink())
            found[f"descriptor of {target.partition(':')[0] if ':' in target else target}"] += 1
    found.update(f"thread {thread.name}" for thread in threading.enumerate())
    found["tasks"] = len(list(Path("/proc/self/task").iterdir()))
    found.update(f"child {' '.join(child.cmdline())}" for child in psutil.Process().children())
    found[f"cores {sorted(os.sched_getaffinity(0))}"] = 1
    return found


def main() -> None:
    """Bring them up and down."""
    provider = sys.argv[1]
    first: Counter[str] | None = None
    for topology in TOPOLOGIES:
        with _provider(provider).up(topology, DATASET, scale=SCALE, seed=SEED, say=lambda line: None) as stack:
            tell(asdict(_had(stack, provider)))
        first = first or _open()  # what was imported for the first one stays
    assert first is not None
    ends = time.monotonic() + PATIENCE_S
    while (kept := _open() - first) and time.monotonic() < ends:  # a driver's threads end a moment after it was closed
        gc.collect()
        time.sleep(0.05)
    tell(dict(kept))


def _provider(name: str) -> Any:
    if name == "embedded":
        from harness.stack.embedded import EmbeddedStack

        return EmbeddedStack
    from harness.stack.docker.stack import DockerStack

    return DockerStack


def tell(value: dict[str, Any]) -> None:
    """Write a line."""
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()

"""Servers in containers: how soon they are ready, what their address costs, and what one look at all of them costs."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import docker
import numpy as np
import psycopg
from docker.errors import DockerException
from docker.models.containers import Container

from harness import catalog
from harness.model import Topology
from harness.probes.usage import UsageProbe
from harness.stack.docker import images, recipes
from harness.stack.docker.images import MONGO, POSTGRES, Image
from harness.stack.docker.stack import DockerStack
from harness.stack.mongo import replica_set
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.stack import Footprint
from tests.bench.bed import CRAFTING_BURST, Bed
from tests.bench.figures.stack import PLAYERS, ready_and_reset
from tests.bench.rounds import Round, interleaved
from tests.bench.row import Limit, NotMeasured, Row, of_pairs, of_values

FIGURE = "containers"
ENGINE_S = 30.0
READY_LIMIT_S = 30.0
LOOK_AGAIN_S = 0.005
#: A primary, two replicas and a replica set.
SERVERS = 6
LOOKS = 100
SELECTS = 2000
MEMBERS = 3
PASSWORD = secrets.token_hex(8)


def no_engine(_: bool) -> str | None:
    """Why containers cannot be measured here; None where they can."""
    try:
        client = docker.from_env(timeout=ENGINE_S)
    except DockerException as error:
        return f"no Docker engine answers: {error}"
    client.close()
    return None


async def measure(bed: Bed) -> list[Row]:
    """Of the offline images, servers alone, the crafting burst's stack with its whole dataset, and a replica set with all players."""
    with ExitStack() as closing:
        client = docker.from_env(timeout=ENGINE_S)
        closing.callback(client.close)
        postgres = await asyncio.to_thread(images.build, client, recipes.postgres(), bed.say)
        mongo = await asyncio.to_thread(images.build, client, recipes.mongo(), bed.say)
        closing.enter_context(_named({POSTGRES.variable: postgres.reference, MONGO.variable: mongo.reference}))
        rows = [_seconds("PostgreSQL alone: from nothing to an answer", _rounds(bed, _ready, client, postgres), 1.5)]
        what = f"MongoDB alone: from nothing to {MEMBERS} members, one primary and all others SECONDARY"
        rows.append(_seconds(what, _rounds(bed, _whole_set, client, mongo), 5.0))
        looks_s = await _looks(client, postgres)
        rows.append(_seconds(f"a look at CPU and memory of {SERVERS} containers", looks_s, 0.005))
        rows += await _of_stack(bed, client)
        rows += await asyncio.to_thread(ready_and_reset, FIGURE, DockerStack.up, bed, *PLAYERS)
    return rows


def _seconds(what: str, values: list[float], limit_s: float) -> Row:
    return of_values(FIGURE, what, values, limit=Limit(comparator="<=", value=limit_s), unit="s")


def _rounds(
    bed: Bed, once: Callable[[docker.DockerClient, Image], float], client: docker.DockerClient, image: Image
) -> list[float]:
    found = []
    for number in range(1, bed.extent.rounds + 1):
        found.append(once(client, image))
        bed.say(f"  round {number} of {bed.extent.rounds}: {found[-1]:.3g} s")
    return found


def _ready(client: docker.DockerClient, image: Image) -> float:
    """Seconds from asking for a container to the answer of the server in it, at its address."""
    begun = time.perf_counter()
    with _postgres(client, image) as container:
        _await_answer(container)
        return time.perf_counter() - begun


def _whole_set(client: docker.DockerClient, image: Image) -> float:
    """Seconds from asking for containers to a replica set whose members have all their states."""
    begun = time.perf_counter()
    with ExitStack() as closing:
        command = ["mongod", "--replSet", replica_set.NAME, "--wiredTigerCacheSizeGB", "0.25"]
        members = [
            closing.enter_context(_container(client, image, command, tmpfs={"/data/db": "mode=1777"}))
            for _ in range(MEMBERS)
        ]
        hosts = [f"{_address(member)}:27017" for member in members]
        replica_set.initiate(hosts, lambda: None)
        return time.perf_counter() - begun


async def _looks(client: docker.DockerClient, image: Image) -> list[float]:
    """Seconds of each tick of the probe of CPU and memory; its first, which finds the control groups, is left out."""
    with ExitStack() as closing:
        footprints = {}
        for number in range(SERVERS):
            container = closing.enter_context(_postgres(client, image))
            await asyncio.to_thread(_await_answer, container)
            footprint = Footprint(pid=container.attrs["State"]["Pid"], confined=True, cpus=None)
            footprints[f"server-{number}"] = lambda footprint=footprint: footprint
        probe = UsageProbe(lambda: footprints)
        found = []
        for _ in range(LOOKS + 1):
            begun = time.perf_counter()
            samples = await probe.sample(0.0)
            found.append(time.perf_counter() - begun)
            if len({sample.labels["name"] for sample in samples}) != SERVERS:
                raise NotMeasured("a container was not measured")
        await probe.close()
    return found[1:]


async def _of_stack(bed: Bed, client: docker.DockerClient) -> list[Row]:
    incident = catalog.load_folder(CRAFTING_BURST)
    topology = Topology(postgres=incident.topology.postgres)
    ready_s: list[float] = []
    reset_s: list[float] = []
    replica_s: list[float] = []
    selects: list[Round] = []
    for number in range(bed.extent.rounds + 1):
        begun = time.perf_counter()
        with DockerStack.up(topology, incident.dataset, scale=1.0, seed=1, say=bed.say) as stack:
            took_s = time.perf_counter() - begun
            if number == 0:
                continue  # this one fills the cache, where it is empty
            ready_s.append(took_s)
            reset_s.append(await _timed(stack.reset))
            replica_s.append(await _timed(stack.add_replica))
            bed.say(
                f"  round {number} of {bed.extent.rounds}: ready {took_s:.3g} s, reset {reset_s[-1]:.3g} s, "
                f"replica {replica_s[-1]:.3g} s"
            )
            if stack.postgres is None:
                raise NotMeasured("the stack has no PostgreSQL")
            selects += await _selects(bed, client, stack.postgres)
    what = "crafting burst, whole dataset:"
    return [
        _seconds(f"{what} ready from the cache", ready_s, 3.0),
        _seconds(f"{what} reset to seeded", reset_s, 3.0),
        _seconds(f"{what} one more replica that takes reads", replica_s, 3.0),
        of_pairs(
            FIGURE,
            "SELECT 1 at the address that the load gets ÷ at the container's on its bridge",
            selects,
            "ours",
            "bridge",
            limit=Limit(comparator="<=", value=1.2),
            unit=" µs",
        ),
    ]


async def _timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    await asyncio.to_thread(act)
    return time.perf_counter() - begun


async def _selects(bed: Bed, client: docker.DockerClient, endpoint: Endpoint) -> list[Round]:
    """Microseconds of a SELECT 1, the median of many, at either address of the same server."""
    (container,) = [one for one in client.containers.list() if one.attrs["State"]["Pid"] == endpoint.postmaster_pid]
    (network,) = container.attrs["NetworkSettings"]["Networks"].values()
    addresses = {"ours": (endpoint.host, endpoint.port), "bridge": (network["IPAddress"], 5432)}

    def select(host: str, port: int) -> float:
        dsn = endpoint.dsn(user=endpoint.application_user)
        with psycopg.connect(dsn, host=host, port=port, autocommit=True, prepare_threshold=0) as connection:
            found = []
            for _ in range(SELECTS):
                begun = time.perf_counter()
                connection.execute("SELECT 1")
                found.append(time.perf_counter() - begun)
        return float(np.median(found[SELECTS // 10 :])) * 1e6

    sides = {name: lambda at=at: asyncio.to_thread(select, *at) for name, at in addresses.items()}
    return await interleaved(bed.extent.rounds, sides, bed.say)


@contextmanager
def _postgres(client: docker.DockerClient, image: Image) -> Iterator[Container]:
    """A running PostgreSQL, its data in memory."""
    environment = {"POSTGRES_PASSWORD": PASSWORD, "PGDATA": "/var/lib/postgresql/data"}
    with _container(client, image, [], environment=environment, tmpfs={"/var/lib/postgresql": ""}) as container:
        yield container


@contextmanager
def _container(
    client: docker.DockerClient,
    image: Image,
    command: list[str],
    *,
    tmpfs: dict[str, str],
    environment: dict[str, str] | None = None,
) -> Iterator[Container]:
    container = client.containers.create(
        image.id,
        command,
        environment=environment or {},
        tmpfs=tmpfs,
        name=f"flashcrowd-bench-{secrets.token_hex(4)}",
    )
    try:
        container.start()
        container.reload()
        yield container
    finally:
        container.remove(v=True, force=True)


@contextmanager
def _named(variables: dict[str, str]) -> Iterator[None]:
    """The images that stacks take meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _address(container: Container) -> str:
    found: str = container.attrs["NetworkSettings"]["IPAddress"]
    return found


def _await_answer(container: Container) -> None:
    host = _address(container)
    ends = time.monotonic() + READY_LIMIT_S
    while True:
        try:
            with psycopg.connect(host=host, user="postgres", password=PASSWORD, connect_timeout=5) as connection:
                connection.execute("SELECT 1")
                return
        except psycopg.OperationalError as error:
            if time.monotonic() > ends:
                raise NotMeasured(
                    f"a server in a container did not answer in {READY_LIMIT_S:.0f} s: {error}"
                ) from error
            time.sleep(LOOK_AGAIN_S)

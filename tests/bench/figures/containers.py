"""Servers in containers: how soon they are ready, and what one look at all of them costs."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import docker
import psycopg
from docker.errors import DockerException
from docker.models.containers import Container

from harness.probes.usage import UsageProbe
from harness.stack.docker import images, recipes
from harness.stack.docker.images import Image
from harness.stack.stack import Footprint
from tests.bench.bed import Bed
from tests.bench.row import Limit, NotMeasured, Row, of_values

FIGURE = "containers"
ENGINE_S = 30.0
READY_LIMIT_S = 30.0
LOOK_AGAIN_S = 0.005
#: A primary, two replicas and a replica set.
SERVERS = 6
LOOKS = 100
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
    """Of the offline image."""
    with ExitStack() as closing:
        client = docker.from_env(timeout=ENGINE_S)
        closing.callback(client.close)
        image = await asyncio.to_thread(images.build, client, recipes.postgres(), bed.say)
        ready_s = await asyncio.to_thread(_ready, client, image, bed)
        looks_s = await _looks(client, image, bed)
    what = f"a look at CPU and memory of {SERVERS} containers"
    return [
        of_values(
            FIGURE,
            "PostgreSQL, offline image: from nothing to an answer",
            ready_s,
            limit=Limit(comparator="<=", value=1.5),
            unit="s",
        ),
        of_values(FIGURE, what, looks_s, limit=Limit(comparator="<=", value=0.005), unit="s"),
    ]


def _ready(client: docker.DockerClient, image: Image, bed: Bed) -> list[float]:
    """Seconds from asking for a container to the answer of the server in it, at its address."""
    found = []
    for number in range(1, bed.extent.rounds + 1):
        begun = time.perf_counter()
        with _container(client, image) as container:
            _await_answer(container)
            found.append(time.perf_counter() - begun)
        bed.say(f"  round {number} of {bed.extent.rounds}: {found[-1]:.3g} s")
    return found


async def _looks(client: docker.DockerClient, image: Image, bed: Bed) -> list[float]:
    """Seconds of each tick of the probe of CPU and memory; its first, which finds the control groups, is left out."""
    with ExitStack() as closing:
        footprints = {}
        for number in range(SERVERS):
            container = closing.enter_context(_container(client, image))
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


@contextmanager
def _container(client: docker.DockerClient, image: Image) -> Iterator[Container]:
    """A running PostgreSQL, its data in memory."""
    container = client.containers.create(
        image.id,
        environment={"POSTGRES_PASSWORD": PASSWORD, "PGDATA": "/var/lib/postgresql/data"},
        tmpfs={"/var/lib/postgresql": ""},
        name=f"flashcrowd-bench-{secrets.token_hex(4)}",
    )
    try:
        container.start()
        container.reload()
        yield container
    finally:
        container.remove(v=True, force=True)


def _await_answer(container: Container) -> None:
    host = container.attrs["NetworkSettings"]["IPAddress"]
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

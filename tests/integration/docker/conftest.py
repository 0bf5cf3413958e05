"""A Docker engine for the tests, and the images that are made of this machine's packages."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import NotFound
from docker.models.containers import Container

from harness.model import Dataset, PostgresServer, Topology
from harness.stack.docker import images, recipes
from harness.stack.docker.disks import Disks
from harness.stack.docker.images import Image
from harness.stack.docker.stack import DockerStack
from tests.integration.conftest import SCALE, SEED

MEMORY_BYTES = 512 * 1024**2
Run = Callable[..., Container]


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    """The engine."""
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="session")
def offline(client: docker.DockerClient) -> Mapping[str, Image]:
    """Images by what ``flashcrowd images build`` calls them; made when a test first wants them, unless they are there."""
    made = {"postgres": recipes.postgres(), "mongo": recipes.mongo()}
    return {name: images.build(client, recipe, lambda line: None) for name, recipe in made.items()}


@pytest.fixture(scope="session")
def of_debian(client: docker.DockerClient) -> Image:
    """The image of the PostgreSQL that Debian's package has put here."""
    if not (recipes.DEBIAN_POSTGRES / "15" / "bin" / "postgres").exists():
        pytest.skip("this system has no PostgreSQL 15 under /usr/lib/postgresql")
    return images.build(client, recipes.postgres(15), lambda line: None)


@pytest.fixture
def run(client: docker.DockerClient, tmp_path: Path) -> Iterator[Run]:
    """Start a container, or make one with ``begin=False``; removed after the test with its volumes, which are where those of
    a stack would be."""
    made: list[Container] = []
    disks = Disks.chosen(tmp_path)

    def run(image: str, *command: str, begin: bool = True, **arguments: Any) -> Container:
        disk = disks.make("test")
        declared = client.images.get(image).attrs["Config"]["Volumes"] or {}
        name, mounts = f"test-{secrets.token_hex(4)}", [] if disk is None else [disk.volume(path) for path in declared]
        made.append(client.containers.create(image, list(command), name=name, mounts=mounts, **arguments))
        if begin:
            made[-1].start()
        return made[-1]

    yield run
    for container in made:
        with suppress(NotFound):  # the test removed it
            container.remove(v=True, force=True)


@pytest.fixture(scope="session")
def named(offline: Mapping[str, Image]) -> Iterator[None]:
    """These images, whatever else the engine has or could pull."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLASHCROWD_POSTGRES_IMAGE", offline["postgres"].reference)
        patch.setenv("FLASHCROWD_MONGO_IMAGE", offline["mongo"].reference)
        yield


@pytest.fixture(scope="session")
def contained(dataset: Dataset, named: None) -> Iterator[DockerStack]:
    """A running stack in containers, with one replica; a test that changes it resets it first."""
    asked = PostgresServer(cpus=0.5, memory_bytes=MEMORY_BYTES, replicas=1, settings={"max_connections": "40"})
    topology = Topology(postgres=asked)
    with DockerStack.up(topology, dataset, scale=SCALE, seed=SEED, say=lambda line: None) as running:
        yield running

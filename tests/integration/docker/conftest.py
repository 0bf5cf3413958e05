"""A Docker engine for the tests, and the images that are made of this machine's packages."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from harness.stack.docker import images, recipes
from harness.stack.docker.images import Image
from tests.integration.command import Place

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
    made = {"postgres": recipes.postgres(), "postgres:15": recipes.postgres(15), "mongo": recipes.mongo()}
    return {name: images.build(client, recipe, lambda line: None) for name, recipe in made.items()}


@pytest.fixture
def run(client: docker.DockerClient) -> Iterator[Run]:
    """Start a container, or make one with ``begin=False``; removed after the test with its volumes."""
    made: list[Container] = []

    def run(image: str, *command: str, begin: bool = True, **arguments: Any) -> Container:
        made.append(client.containers.create(image, list(command), name=f"test-{secrets.token_hex(4)}", **arguments))
        if begin:
            made[-1].start()
        return made[-1]

    yield run
    for container in made:
        container.remove(v=True, force=True)


@pytest.fixture
def place() -> Iterator[Place]:
    """A place for the commands of one test."""
    place = Place.make()
    yield place
    place.clear()

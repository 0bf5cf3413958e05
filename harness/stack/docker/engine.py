"""Which Docker engine, and whether it can be used: Testcontainers finds it (DOCKER_HOST, contexts, its own properties)."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import docker
import requests
from docker.errors import DockerException
from testcontainers.core.docker_client import DockerClient

from harness.errors import StackError

#: Everything that can go wrong between us and an engine.
FAILURES = (DockerException, requests.RequestException, OSError)
#: An engine that is there answers a ping at once; one that is starting or overloaded is given a moment.
ANSWER_S = 5.0
#: Removing a container with a big volume, or writing a seeded cluster to a slow disk.
CALL_S = 120.0


class Engine:
    """A Docker engine that answers; made by :func:`connect`.

    :ivar client: the Docker SDK's client
    """

    def __init__(self, testcontainers: DockerClient) -> None:
        self._testcontainers = testcontainers
        self.client: docker.DockerClient = testcontainers.client

    @property
    def testcontainers(self) -> DockerClient:
        """Testcontainers' client, which creates and starts containers with its own labels beside ours."""
        return self._testcontainers

    def version(self) -> str:
        """Such as ``20.10.24``."""
        return str(self.client.version().get("Version", "unknown"))


@contextmanager
def connect() -> Iterator[Engine]:
    """The engine, its connections closed in the end.

    :raises StackError: none answers, or its containers cannot be reached from here; what to do
    """
    why = unsuited()
    if why is not None:
        raise StackError(why)
    try:
        # Testcontainers tells every start at level INFO and warns about what does not concern us.
        logging.getLogger("testcontainers").setLevel(logging.ERROR)
        testcontainers = DockerClient(timeout=ANSWER_S)  # asks for the engine's version
    except FAILURES as error:
        raise StackError(_no_engine(error)) from error
    try:
        try:
            testcontainers.client.ping()
        except FAILURES as error:
            raise StackError(_no_engine(error)) from error
        testcontainers.client.api.timeout = CALL_S
        yield Engine(testcontainers)
    finally:
        testcontainers.client.close()


def unsuited() -> str | None:
    """Why containers cannot be measured on this system; None where they can."""
    if sys.platform != "linux":
        return (
            "containers run in a virtual machine here, whose network and control groups cannot be seen: "
            "use --stack embedded, or run flashcrowd in Linux"
        )
    return None


def _no_engine(error: BaseException) -> str:
    said = str(error)
    if "Permission denied" in said:
        return (
            f"this user may not use the Docker engine ({said}): "
            "add the user to the group docker, name another engine with DOCKER_HOST, or use --stack embedded"
        )
    return (
        f"no Docker engine answers ({said}): start it (`systemctl start docker`, or `dockerd`), "
        "name another with DOCKER_HOST, or use --stack embedded"
    )

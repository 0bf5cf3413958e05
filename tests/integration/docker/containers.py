"""What tests ask of containers: address, processes and end, a file for one, and what a command left."""

from __future__ import annotations

import io
import tarfile

import docker
import psycopg
from docker.models.containers import Container

from harness.stack.docker import labels
from tests.integration.command import until


def address(container: Container) -> str:
    """Its address on the engine's bridge."""
    container.reload()
    found: str = container.attrs["NetworkSettings"]["IPAddress"]
    return found


def ended(container: Container) -> tuple[int, str]:
    """Wait for its end; exit status, and what it printed."""
    status = container.wait(timeout=60)["StatusCode"]
    return status, printed(container)


def printed(container: Container) -> str:
    """What it printed so far."""
    return container.logs().decode(errors="replace")


def left(client: docker.DockerClient, pid: int) -> list[str]:
    """Containers and networks that a process made."""
    filters = {"label": labels.OWNER}
    things = [*client.api.containers(all=True, filters=filters), *client.api.networks(filters=filters)]
    return [one["Id"] for one in things if one["Labels"][labels.OWNER].startswith(f"{pid}@")]


def put(container: Container, folder: str, **files: tuple[str, int]) -> None:
    """Put files, by name with ``_`` for the dot, with their text and mode, into a folder of it."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, (text, mode) in files.items():
            info = tarfile.TarInfo(".".join(name.rsplit("_", 1)))
            info.size, info.mode, info.uid, info.gid = len(text.encode()), mode, 999, 999  # the servers' user
            archive.addfile(info, io.BytesIO(text.encode()))
    assert container.put_archive(folder, written.getvalue())


def users(container: Container) -> set[str]:
    """The numbers of the users that its processes run as."""
    return {row[0] for row in container.top(ps_args="-eo uid,pid,args")["Processes"]}


def connected(container: Container, **arguments: str) -> psycopg.Connection:
    """A connection to its PostgreSQL, as soon as that takes one at its address; the caller closes it."""
    found: list[psycopg.Connection] = []
    given = {"user": "postgres", "dbname": "postgres", **arguments}

    def answers() -> bool:
        try:
            found.append(psycopg.connect(host=address(container), autocommit=True, connect_timeout=5, **given))
        except psycopg.OperationalError as error:
            # it is not there yet, or not yet ready; anything else will not get better
            assert container.status in ("created", "running"), printed(container)
            if not any(said in str(error) for said in ("refused", "starting up", "closed the connection")):
                raise
        return bool(found)

    until(answers, "PostgreSQL in a container takes connections")
    return found[0]

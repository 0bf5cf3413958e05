"""What servers can be brought up from, and what killed runs left of some."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import requests
from docker.errors import DockerException, ImageNotFound

from harness.doctor.finding import Finding, State
from harness.errors import FlashcrowdError
from harness.stack.cache import cache_folder
from harness.stack.docker import labels
from harness.stack.docker.images import MONGO, POSTGRES, Wanted
from harness.stack.embedded import account as accounts
from harness.stack.embedded import binaries, mongod_program
from harness.stack.embedded import instance as instances
from harness.stack.external import addresses, dsn, mongo_uri

ENGINE_S = 5
_FAILURES = (DockerException, requests.RequestException, OSError)
_CONTROL_GROUPS_2 = Path("/sys/fs/cgroup/cgroup.controllers")


def servers() -> Iterator[Finding]:
    """What there is for each provider, then leftovers."""
    yield embedded_postgres()
    yield embedded_mongo()
    yield from engine()
    yield own_servers()
    yield leftovers()


def embedded_postgres() -> Finding:
    """Whether there is a PostgreSQL to start, and which."""
    name = "embedded PostgreSQL"
    try:
        found = binaries.locate(accounts.for_servers(), _copies())
    except FlashcrowdError as error:
        return Finding(name=name, state=State.MISSING, said=_line(error), advice="")
    return Finding(name=name, state=State.OK, said="; ".join((f"{found.version} in {found.folder}", *found.notes)))


def embedded_mongo() -> Finding:
    """Whether there is a mongod to start, and which."""
    name = "embedded MongoDB"
    try:
        found = mongod_program.locate(accounts.for_servers(), _copies())
    except FlashcrowdError as error:
        return Finding(name=name, state=State.MISSING, said=_line(error), advice="only incidents with MongoDB need it")
    return Finding(name=name, state=State.OK, said="; ".join((f"mongod {found.version} at {found.path}", *found.notes)))


def engine() -> Iterator[Finding]:
    """The Docker engine, and the images that it has."""
    try:
        client = docker.from_env(timeout=ENGINE_S)
    except _FAILURES as error:
        yield _no_engine(error)
        return
    try:
        told = client.version()
        groups = client.info().get("CgroupVersion", "unknown")
        said = f"Docker {told['Version']}, control groups version {groups}"
        here = "2" if _CONTROL_GROUPS_2.is_file() else "1"
        if str(groups) not in (here, "unknown"):
            yield Finding(
                name="engine",
                state=State.WARNING,
                said=f"{said}; this machine has version {here}",
                advice="the engine runs on another machine: CPU and memory of containers cannot be read from here",
            )
        else:
            yield Finding(name="engine", state=State.OK, said=said)
        for wanted in (POSTGRES, MONGO):
            yield _image(client, wanted)
        if left := _containers_left(client):
            yield Finding(
                name="containers",
                state=State.WARNING,
                said=f"{len(left)} of killed runs: {', '.join(left)}",
                advice="`flashcrowd gc` removes them, and so does the next run",
            )
    except _FAILURES as error:
        yield _no_engine(error)
    finally:
        client.close()


def own_servers() -> Finding:
    """Whether servers of one's own are named, and can be read; nobody is asked."""
    name = "own servers"
    try:
        named = addresses.read()
        shown = []
        if named.postgres is not None:
            shown.append(dsn.parse(named.postgres, addresses.POSTGRES_VARIABLE).shown)
        shown += [dsn.parse(one, addresses.REPLICAS_VARIABLE).shown for one in named.replicas]
        if named.mongo is not None:
            shown.append(mongo_uri.parse(named.mongo, addresses.MONGO_VARIABLE).shown)
    except FlashcrowdError as error:
        return Finding(
            name=name, state=State.MISSING, said=_line(error), advice="set it right before using --stack external"
        )
    return Finding(name=name, state=State.OK, said=", ".join(shown) or "none named, as --stack external would need")


def leftovers() -> Finding:
    """What killed runs left; live runs' are none."""
    name = "leftovers"
    try:
        with instances.lock() as folder:
            owners = [(one, one.owner()) for one in instances.existing(folder)]
    except FlashcrowdError as error:
        return Finding(name=name, state=State.MISSING, said=_line(error), fatal=True)
    left = [one.folder.name for one, owner in owners if owner.harness is None or not owner.harness.lives()]
    if left:
        return Finding(
            name=name,
            state=State.WARNING,
            said=f"{len(left)} of killed runs in {folder}: {', '.join(left)}",
            advice="`flashcrowd gc` removes them, and so does the next run",
        )
    return Finding(name=name, state=State.OK, said="none")


def _containers_left(client: docker.DockerClient) -> list[str]:
    found = client.api.containers(all=True, filters={"label": labels.OWNER})
    return [one["Names"][0].lstrip("/") for one in found if labels.is_left(one["Labels"])]


def _image(client: docker.DockerClient, wanted: Wanted) -> Finding:
    name = f"image {wanted.name}"
    for reference in wanted.choices():
        try:
            found = client.api.inspect_image(reference)
        except ImageNotFound:
            continue
        return Finding(name=name, state=State.OK, said=f"{reference} ({found['Id'][7:19]})")
    return Finding(
        name=name,
        state=State.WARNING,
        said=f"the engine has no {' or '.join(wanted.choices())}",
        advice=f"`flashcrowd images build {wanted.name}` makes one without a registry; --stack docker pulls {wanted.official} where there is one",
    )


def _no_engine(error: BaseException) -> Finding:
    return Finding(
        name="engine",
        state=State.WARNING,
        said=f"no Docker engine answers ({' '.join(str(error).split())})",
        advice="only --stack docker needs one: start it (`systemctl start docker`, or `dockerd`), or name another with DOCKER_HOST",
    )


def _copies() -> tuple[Path, ...]:
    return cache_folder(), instances.base()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())

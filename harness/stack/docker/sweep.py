"""Removes containers, networks and volumes that killed runs left. What a live run owns is never touched."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from docker.errors import APIError, NotFound

from harness.errors import StackError
from harness.stack.docker import engine as engines
from harness.stack.docker import labels as owners
from harness.stack.docker.engine import FAILURES, Engine

Labels = dict[str, str]


def sweep() -> list[str]:
    """Remove what belongs to processes that are gone; nothing where no engine answers.

    :returns: a line for each thing removed
    """
    with suppress(StackError, *FAILURES), engines.connect() as engine:
        return remove(engine, owners.is_left)
    return []


def stop_own() -> None:
    """Remove at once the containers that this process is starting, so that the thread that waits for one fails and cleans
    up after itself."""
    with suppress(StackError, *FAILURES), engines.connect() as engine:
        for container in _containers(engine):
            who = owners.owner(container["Labels"])
            if container["Labels"].get(owners.CIRCLE) == owners.circle() and who is not None and who.pid == os.getpid():
                _remove_container(engine, container["Id"])


def remove(engine: Engine, chosen: Callable[[Labels], bool]) -> list[str]:
    """Remove the containers with their volumes, then the networks, whose labels are chosen.

    :returns: a line for each
    """
    said = [
        f"removed container {_name(container)}, left by a killed run"
        for container in _containers(engine)
        if chosen(container["Labels"]) and _remove_container(engine, container["Id"])
    ]
    for network in engine.client.api.networks(filters={"label": owners.OWNER}):
        if chosen(network["Labels"]):
            with suppress(APIError):  # gone meanwhile, or a container of it is just being removed by another
                engine.client.api.remove_network(network["Id"])
                said.append(f"removed network {network['Name']}, left by a killed run")
    return said


def _containers(engine: Engine) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = engine.client.api.containers(all=True, filters={"label": owners.OWNER})
    return found


def _remove_container(engine: Engine, number: str) -> bool:
    try:
        engine.client.api.remove_container(number, force=True, v=True)
    except NotFound:
        return False
    except APIError as error:  # two sweep at once
        if error.status_code != 409:
            raise
        return False
    return True


def _name(container: dict[str, Any]) -> str:
    names = container.get("Names") or [container["Id"][:12]]
    return str(names[0]).lstrip("/")

"""Every server of a stack in words: what it is and what it was given, from the object ``stack`` of run.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.units import format_value


def servers(stack: Mapping[str, Any]) -> dict[str, str]:
    """By its name, what a server is.

    >>> servers({"postgres": {"version": "18.6", "cpus": 1, "cores": [1]}})
    {'postgres': 'PostgreSQL 18.6, 1 core, pinned to core 1'}
    >>> servers({"mongo": {"version": "6.0.5", "members": [{"name": "mongo-1", "cpus": 0.5, "cores": None}]}})
    {'mongo-1': 'MongoDB 6.0.5, 0.5 cores, not pinned'}
    >>> servers({"services": [{"command": ["python", "-m", "web"], "instances": [{"name": "web-1", "cpus": 1, "cores": [1]}]}]})
    {'web-1': 'service (python -m web), 1 core, pinned to core 1'}
    """
    return {name: _said(kind, whole, own) for name, kind, whole, own in _each(stack)}


def notes(stack: Mapping[str, Any]) -> list[str]:
    """What the servers have to say about themselves, once each."""
    found = [note for _, _, whole, own in _each(stack) for note in (*_notes(whole), *_notes(own))]
    return list(dict.fromkeys(found))


def settings(stack: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as they were in force, by name; those of mongod say so."""
    postgres, mongo = _object(stack.get("postgres")), _object(stack.get("mongo"))
    found = {str(name): str(value) for name, value in _object(postgres.get("settings")).items()}
    if mongo.get("cache_bytes") is not None:
        found["mongod: WiredTiger's cache"] = format_value(float(mongo["cache_bytes"]), "B")
    found |= {f"mongod: {name}": str(value) for name, value in _object(mongo.get("parameters")).items()}
    return dict(sorted(found.items()))


def pinned(cores: Any) -> str:
    """Which cores a process is held to."""
    return f"pinned to core {', '.join(map(str, cores))}" if cores else "not pinned"


def _each(stack: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]]:
    """Name, kind, the object that it is part of, and its own."""
    postgres, mongo = _object(stack.get("postgres")), _object(stack.get("mongo"))
    if postgres:
        yield "postgres", "PostgreSQL", postgres, postgres
    for replica in postgres.get("replicas") or ():
        yield str(replica["name"]), "PostgreSQL", postgres, replica
    for member in mongo.get("members") or ():
        yield str(member["name"]), "MongoDB", mongo, member
    for service in stack.get("services") or ():
        command = " ".join(service.get("command") or ())
        for instance in service.get("instances") or ():
            yield str(instance["name"]), f"service ({command})" if command else "service", {}, instance


def _said(kind: str, whole: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    version, cpus, memory = whole.get("version"), own.get("cpus"), own.get("memory_bytes")
    image = _object(whole.get("image")).get("reference")
    parts = (
        f"{kind} {version}" if version else kind,
        f"image {image}" if image else "",
        "" if cpus is None else f"{cpus:g} {'core' if cpus == 1 else 'cores'}",
        "" if cpus is None else pinned(own.get("cores")),
        "" if memory is None else f"at most {format_value(float(memory), 'B')} of memory",
    )
    return ", ".join(part for part in parts if part)


def _notes(described: Mapping[str, Any]) -> list[str]:
    return [str(note) for note in described.get("notes") or ()]


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

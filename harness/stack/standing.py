"""Stacks that ``flashcrowd up`` keeps: a record of each, by which ``flashcrowd down`` finds and ends it.

The records lie in a folder that only this user may enter. Each belongs to the process that keeps the stack; with that gone,
it is stale and removed by whoever meets it.

    <name>.json      which process, which incident, how to connect
    <name>.log       what a stack in the background said
    <name>.pgpass    passwords of servers that we made, as psql reads them, and
    <name>.env       as a shell does; both readable for this user only
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from harness.errors import UsageError
from harness.stack.embedded import instance as instances
from harness.stack.processes import Identity

FOLDER = "up"  # no server's folder has so short a name
_SUFFIXES = (".json", ".log", ".pgpass", ".env")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A stack that is up or coming up.

    :param name: of the record: the incident's, with a number from the second on
    :param keeper: the process that keeps it
    :param connect: lines that say how to connect; empty until it is up
    """

    name: str
    incident: str
    provider: str
    keeper: Identity
    connect: tuple[str, ...] = ()

    def path(self, suffix: str) -> Path:
        """One of its files."""
        return _folder() / f"{self.name}{suffix}"

    def is_up(self) -> bool:
        """Whether it has come up."""
        return bool(self.connect)

    def now_up(self, connect: tuple[str, ...]) -> Standing:
        """The record of the same, come up."""
        up = replace(self, connect=connect)
        up._write()
        return up

    def keep(self, suffix: str, lines: Iterator[str]) -> Path:
        """Write a file with secrets beside the record, for this user only."""
        path = self.path(suffix)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        return path

    def remove(self) -> None:
        """Remove the record with all that belongs to it."""
        for suffix in _SUFFIXES:
            self.path(suffix).unlink(missing_ok=True)

    def _write(self) -> None:
        neighbour = self.path(".part")
        neighbour.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")
        neighbour.replace(self.path(".json"))


@contextmanager
def recorded(incident: str, provider: str, name: str | None = None) -> Iterator[Standing]:
    """A record for a stack that this process is about to bring up; removed on every path.

    :param name: as whoever waits for it chose it; None: the next free one
    :raises UsageError: that name is taken
    """
    with instances.lock():
        taken = {one.name for one in _living()}
        if name in taken:
            raise UsageError(f"{name} is up already: `flashcrowd down {name}` ends it")
        chosen = name or _free_name(incident, taken)
        mine = Standing(name=chosen, incident=incident, provider=provider, keeper=Identity.of(os.getpid()))
        mine._write()
    try:
        yield mine
    finally:
        with instances.lock():
            mine.remove()


def standing() -> list[Standing]:
    """Every stack that is up or coming up, by name; stale records are removed."""
    with instances.lock():
        return _living()


def find(name: str) -> Standing | None:
    """The stack of that name; None where there is none."""
    return next((one for one in standing() if one.name == name), None)


def free_name(incident: str) -> str:
    """A name that no stack has at this moment."""
    return _free_name(incident, {one.name for one in standing()})


def log_of(name: str) -> Path:
    """Where a stack in the background writes what it says."""
    return _folder() / f"{name}.log"


def _free_name(incident: str, taken: set[str]) -> str:
    number = 1
    while (name := incident if number == 1 else f"{incident}-{number}") in taken:
        number += 1
    return name


def _living() -> list[Standing]:
    found = []
    for path in sorted(_folder().glob("*.json")):
        one = _read(path)
        if one is not None and one.keeper.lives():
            found.append(one)
        else:
            for suffix in _SUFFIXES:
                path.with_suffix(suffix).unlink(missing_ok=True)
    return sorted(found, key=lambda one: one.name)


def _read(path: Path) -> Standing | None:
    with suppress(OSError, ValueError, LookupError, TypeError):
        value = json.loads(path.read_text(encoding="utf-8"))
        return Standing(
            name=path.stem,
            incident=value["incident"],
            provider=value["provider"],
            keeper=Identity(**value["keeper"]),
            connect=tuple(value["connect"]),
        )
    return None


def _folder() -> Path:
    folder = instances.base() / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder

"""What the figures were measured on: machine, versions, settings, plan, seed and command."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness.report import servers
from harness.report.html.side import Side
from harness.units import format_value

_NOT_RECORDED = "not recorded"
_STACK = "Stack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line: a value per variant, or a single one where all say the same."""

    name: str
    values: tuple[str, ...]


def environment(shown: Sequence[Side]) -> list[Fact]:
    """The facts that a person needs in order to measure the same again."""
    found = []
    for name, find in _FACTS:
        found.append(_fact(name, find, shown))
        if name == _STACK:
            found += _by_name(shown, servers.servers)
    return found


def settings(shown: Sequence[Side]) -> list[Fact]:
    """The servers' parameters, as they were in force."""
    return _by_name(shown, servers.settings)


def notes(shown: Sequence[Side]) -> list[str]:
    """What the servers have to say about themselves, once each."""
    return list(dict.fromkeys(note for side in shown for note in servers.notes(_stack(_meta(side)))))


def _by_name(shown: Sequence[Side], find: Callable[[Mapping[str, Any]], Mapping[str, str]]) -> list[Fact]:
    """A fact for each name that one of the sides has."""
    names = dict.fromkeys(name for side in shown for name in find(_stack(_meta(side))))
    return [
        _fact(name, lambda meta, name=name: find(_stack(meta)).get(name), shown)  # type: ignore[misc]
        for name in names
    ]


def _fact(name: str, find: Callable[[dict[str, Any]], Any], shown: Sequence[Side]) -> Fact:
    values = tuple(_text(find(_meta(side))) for side in shown)
    return Fact(name=name, values=values[:1] if len(set(values)) == 1 else values)


def _meta(side: Side) -> dict[str, Any]:
    return side.run.meta if side.run is not None else {}


def _text(value: Any) -> str:
    if value is None or value == "":
        return _NOT_RECORDED
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _of(*path: str) -> Callable[[dict[str, Any]], Any]:
    def find(meta: dict[str, Any]) -> Any:
        value: Any = meta
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    return find


def _stack(meta: dict[str, Any]) -> Mapping[str, Any]:
    value = meta.get("stack")
    return value if isinstance(value, dict) else {}


def _began(meta: dict[str, Any]) -> str | None:
    wall_s = _of("origin", "wall_s")(meta)
    return None if wall_s is None else datetime.fromtimestamp(float(wall_s), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _memory(meta: dict[str, Any]) -> str | None:
    size = _of("machine", "memory_bytes")(meta)
    return None if size is None else format_value(float(size), "B")


def _load_cores(meta: dict[str, Any]) -> str:
    return servers.pinned(_of("machine", "load_cores")(meta))


def _preferred(meta: dict[str, Any]) -> str | None:
    value = meta.get("workers_preferred")
    return None if value is None else "yes" if value else "no"


def _application(meta: dict[str, Any]) -> dict[str, Any] | None:
    """What it declares. What it leaves to its driver is left out, and so is what concerns a database that is not there."""
    declared = meta.get("application")
    if not isinstance(declared, dict):
        return None
    stated: dict[str, Any] = {}
    for name, value in declared.items():
        if isinstance(value, dict) and (name != "mongo" or _stack(meta).get("mongo")):
            stated |= {f"{name} {key}": item for key, item in value.items() if item is not None}
        elif not isinstance(value, dict) and value is not None:
            stated[name] = value
    return stated


def _scheduled(meta: dict[str, Any]) -> Any:
    if meta.get("open") is False:
        return "closed model: users wait for their answers"
    return meta.get("scheduled")


_FACTS: tuple[tuple[str, Callable[[dict[str, Any]], Any]], ...] = (
    ("Command", _of("command")),
    ("Traffic began", _began),
    ("Seed", _of("seed")),
    ("Dataset scale", _of("scale")),
    ("Rate factor", _of("rate")),
    ("Arrivals scheduled", _scheduled),
    ("Sampling interval, s", _of("interval_s")),
    ("Load workers", _of("workers")),
    ("Application", _application),
    (_STACK, _of("stack", "provider")),
    ("Cores of the load", _load_cores),
    ("Workers go first there", _preferred),
    ("Machine's cores", _of("machine", "cores")),
    ("Machine's memory", _memory),
    ("System", _of("machine", "system")),
    ("Python", _of("machine", "python")),
    ("Versions", _of("versions")),
)

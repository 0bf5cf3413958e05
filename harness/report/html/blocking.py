"""The deepest tree of sessions waiting for one another that was sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.record import format as layout
from harness.record.reader import Run
from harness.units import format_value

#: Sessions of one tree that are shown: a storm may have hundreds behind one lock, all alike.
MOST_SESSIONS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session of the tree and those that wait for it.

    :param hidden: sessions that wait for it but are not shown
    """

    pid: int | None
    state: str
    waits: str
    for_: str
    statement: str
    blocked: tuple[Session, ...]
    hidden: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocking:
    """The deepest tree; where several are as deep, the one with the most sessions."""

    at_s: float
    depth: int
    sessions: int
    root: Session


def blocking(run: Run) -> Blocking | None:
    """The deepest tree of a run; None where no tree was recorded."""
    best: tuple[int, int, float, dict[str, Any]] | None = None
    for line in run.lines(layout.BLOCKING):
        for tree in line.get("trees") or ():
            depth, sessions = _extent(tree)
            if best is None or (depth, sessions) > best[:2]:
                best = (depth, sessions, float(line.get("at_s") or 0.0), tree)
    if best is None:
        return None
    depth, sessions, at_s, tree = best
    return Blocking(at_s=at_s, depth=depth, sessions=sessions, root=_session(tree, [MOST_SESSIONS]))


def was_recorded(run: Run) -> bool:
    """Whether trees were sampled at all: an empty record means that nobody was seen waiting."""
    return (run.folder / layout.BLOCKING).exists()


def _extent(tree: dict[str, Any]) -> tuple[int, int]:
    """Sessions on the longest chain, and in the whole tree."""
    depth, sessions = 1, 1
    for child in tree.get("blocked") or ():
        below, count = _extent(child)
        depth, sessions = max(depth, below + 1), sessions + count
    return depth, sessions


def _session(tree: dict[str, Any], left: list[int]) -> Session:
    """The tree as shown, the deepest branch first; ``left`` holds how many sessions may still be shown."""
    left[0] -= 1
    shown, hidden = [], 0
    for child in sorted(tree.get("blocked") or (), key=_extent, reverse=True):
        if left[0] > 0:
            shown.append(_session(child, left))
        else:
            hidden += _extent(child)[1]
    waited = tree.get("for_s")
    return Session(
        pid=tree.get("pid"),
        state=str(tree.get("state") or "state not known"),
        waits=str(tree.get("wait_event") or ""),
        for_=format_value(None if waited is None else float(waited), "s"),
        statement=str(tree.get("statement") or "no statement"),
        blocked=tuple(shown),
        hidden=hidden,
    )

"""Who waits for whom, as trees: a graph of sessions cut down to what can be drawn.

The graph may hold cycles (a deadlock that the server has not resolved yet) and a session may wait for several others (those that
hold the lock and those before it in the queue). In the trees each session stands once, under the blocker that itself has the
most before it; ``blocked_by`` keeps all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PREPARED_TRANSACTION = 0  # what pg_blocking_pids() gives for one: no process holds its locks


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that waits for a lock, or that others wait for.

    :param for_s: how long it has been in its state
    :param blocked_by: the processes that it waits for; empty for one that does not wait
    """

    pid: int
    state: str
    wait_event: str
    statement: str
    for_s: float | None
    blocked_by: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """The sessions of one instant.

    :param blocked: how many wait
    :param depth: how many wait in the longest chain; within a cycle all of its sessions
    :param trees: for ``blocking.jsonl``, those with the most sessions first
    :param left_out: sessions that are in no tree because there were too many
    """

    blocked: int
    depth: int
    trees: Sequence[Mapping[str, Any]]
    left_out: int


def forest(sessions: Iterable[Session], *, most: int = 50) -> Forest:
    """The trees of some sessions.

    :param most: how many sessions the trees hold at most; those near the roots are kept
    """
    known = {session.pid: session for session in sessions}
    for pid in {blocker for session in known.values() for blocker in session.blocked_by} - known.keys():
        state = "prepared transaction" if pid == PREPARED_TRANSACTION else "ended"
        known[pid] = Session(pid=pid, state=state, wait_event="", statement="", for_s=None)
    depth: dict[int, int] = {}
    parent: dict[int, int | None] = {}
    for group in _groups(known):
        _place(sorted(group), known, depth, parent)
    order = _from_the_roots(parent)
    nodes = {pid: _node(known[pid]) for pid in order[:most]}
    trees: list[Mapping[str, Any]] = []
    for pid, node in nodes.items():
        above = parent[pid]
        (trees if above is None else nodes[above]["blocked"]).append(node)
    return Forest(
        blocked=sum(1 for session in known.values() if session.blocked_by),
        depth=max(depth.values(), default=0),
        trees=trees,
        left_out=len(order) - len(nodes),
    )


def _place(
    group: list[int], known: Mapping[int, Session], depth: dict[int, int], parent: dict[int, int | None]
) -> None:
    """Give the sessions of one group (a cycle, or a session alone) their depth and their place; blockers have theirs already."""
    inside = set(group)
    outside = {pid: [one for one in known[pid].blocked_by if one not in inside] for pid in group}
    before = max((depth[one] for blockers in outside.values() for one in blockers), default=0)
    waiting = sum(1 for pid in group if known[pid].blocked_by)
    head = max(group, key=lambda pid: (bool(outside[pid]), max((depth[one] for one in outside[pid]), default=0), -pid))
    parent[head] = max(outside[head], key=lambda pid: (depth[pid], -pid)) if outside[head] else None
    placed = [head]
    for above in placed:  # grows while it is walked: whoever waits for one that was placed comes below it
        for pid in group:
            if pid not in parent and above in known[pid].blocked_by:
                parent[pid] = above
                placed.append(pid)
    depth.update(dict.fromkeys(group, before + waiting))


def _groups(known: Mapping[int, Session]) -> list[list[int]]:
    """Strongly connected components, blockers before those whom they block (Kosaraju's algorithm, without recursion)."""
    blocks: dict[int, list[int]] = {pid: [] for pid in known}
    for session in known.values():
        for pid in session.blocked_by:
            blocks[pid].append(session.pid)
    finished = _finishing_order(blocks)
    groups: list[list[int]] = []
    seen: set[int] = set()
    for start in reversed(finished):
        if start in seen:
            continue
        seen.add(start)
        group = [start]
        for pid in group:
            fresh = [one for one in dict.fromkeys(known[pid].blocked_by) if one not in seen]
            seen.update(fresh)
            group.extend(fresh)
        groups.append(group)
    return groups


def _finishing_order(edges: Mapping[int, Sequence[int]]) -> list[int]:
    """Nodes in the order in which a depth-first walk leaves them."""
    finished: list[int] = []
    seen: set[int] = set()
    for start in edges:
        if start in seen:
            continue
        seen.add(start)
        stack = [(start, iter(edges[start]))]
        while stack:
            pid, rest = stack[-1]
            following = next((one for one in rest if one not in seen), None)
            if following is None:
                finished.append(pid)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(edges[following])))
    return finished


def _from_the_roots(parent: Mapping[int, int | None]) -> list[int]:
    """Sessions level by level, from the roots with the largest trees on."""
    children: dict[int, list[int]] = {pid: [] for pid in parent}
    for pid, above in parent.items():
        if above is not None:
            children[above].append(pid)
    size = dict.fromkeys(parent, 1)
    for pid, above in reversed(list(parent.items())):  # blockers were placed first, so this goes upwards
        if above is not None:
            size[above] += size[pid]
    roots = [pid for pid, above in parent.items() if above is None]
    order = sorted(roots, key=lambda pid: (-size[pid], pid))
    for pid in order:
        order.extend(sorted(children[pid], key=lambda one: (-size[one], one)))
    return order


def _node(session: Session) -> dict[str, Any]:
    return {
        "pid": session.pid,
        "state": session.state,
        "wait_event": session.wait_event,
        "statement": session.statement,
        "for_s": session.for_s,
        "blocked_by": list(session.blocked_by),
        "blocked": [],
    }

"""A deadlock as PostgreSQL reports it, taken apart: who waited for what, held by whom, with which statement.

The DETAIL of the error in the server's log has, for each process of the cycle, first a line of the lock graph and then its
current statement, in the same order (src/backend/storage/lmgr/deadlock.c, DeadLockReport); the client's has the graph only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_EDGE = re.compile(
    r"^Process (?P<pid>\d+) waits for (?P<mode>\S+) on (?P<object>.+); blocked by process (?P<by>\d+)\.$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """One process of a deadlock.

    :param mode: the lock it waited for, such as ``ShareLock``
    :param object: on what, such as ``transaction 812`` or ``tuple (0,1) of relation 16400 of database 5``
    :param statement: what it was executing, cut at track_activity_query_size; None where the report has no statements
    """

    pid: int
    mode: str
    object: str
    blocked_by: int
    statement: str | None


def parse_detail(detail: str) -> list[Participant]:
    """The processes of a deadlock, in the order of the report; empty if it is none (or in a language other than English).

    >>> [edge] = parse_detail("Process 12 waits for ShareLock on transaction 34; blocked by process 12.")
    >>> edge.mode, edge.object, edge.blocked_by, edge.statement
    ('ShareLock', 'transaction 34', 12, None)
    """
    lines = detail.split("\n")
    edges: list[re.Match[str]] = []
    for line in lines:
        match = _EDGE.match(line)
        if match is None:
            break
        edges.append(match)
    statements = _statements(lines[len(edges) :], [int(edge["pid"]) for edge in edges])
    return [
        Participant(
            pid=int(edge["pid"]),
            mode=edge["mode"],
            object=edge["object"],
            blocked_by=int(edge["by"]),
            statement=statements.get(position),
        )
        for position, edge in enumerate(edges)
    ]


def _statements(lines: list[str], pids: list[int]) -> dict[int, str]:
    """Statement by position. They may span lines and hold anything, so only the process that must come next begins a new one."""
    found: dict[int, list[str]] = {}
    position = -1
    for line in lines:
        head = f"Process {pids[position + 1]}: " if position + 1 < len(pids) else None
        if head is not None and line.startswith(head):
            position += 1
            found[position] = [line.removeprefix(head)]
        elif position >= 0:
            found[position].append(line)
    return {position: "\n".join(parts) for position, parts in found.items()}

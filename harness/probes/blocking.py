"""Sessions that wait for a lock, and the trees of who waits for whom.

Counted at every tick. The trees go to ``blocking.jsonl``, at most about once a second and whenever they are deeper than any
before, so that a storm sampled at 10 Hz does not fill the disk.
"""

from __future__ import annotations

from pathlib import Path

from harness.model import Sample
from harness.probes.blocktree import Session, forest
from harness.probes.connection import ProbeConnection, sql
from harness.record import format as layout
from harness.record.writer import JsonLines

TREES_EVERY_S = 0.95  # a little under a second, so that ticks at 1 Hz are all kept though none comes at the exact time
MOST_NODES = 50


class BlockingProbe:
    """Who waits for whom in the endpoint's database, whatever kind of backend it is."""

    name = "blocking"

    def __init__(self, connection: ProbeConnection, folder: Path) -> None:
        self._connection = connection
        self._lines = JsonLines(folder / layout.BLOCKING)
        self._written_s = float("-inf")
        self._deepest = 0

    async def sample(self, at_s: float) -> list[Sample]:
        """``flashcrowd_blocked_sessions`` and ``flashcrowd_block_tree_depth``: how many wait, and how many in the longest chain."""
        rows = await self._connection.fetch(sql("blocking"))
        found = forest(
            (
                Session(
                    pid=row["pid"],
                    state=row["state"],
                    wait_event=row["wait_event"],
                    statement=row["statement"] or "",
                    for_s=None if row["for_s"] is None else round(row["for_s"], 3),
                    # A parallel query's workers are all named as their leader: keep it once.
                    blocked_by=tuple(dict.fromkeys(row["blocked_by"] or ())),
                )
                for row in rows
            ),
            most=MOST_NODES,
        )
        if found.trees and (found.depth > self._deepest or at_s - self._written_s >= TREES_EVERY_S):
            line = {"at_s": round(at_s, 6), "trees": found.trees}
            if found.left_out:
                line["left_out"] = found.left_out
            self._lines.append(line)
            self._written_s = at_s
            self._deepest = max(self._deepest, found.depth)
        return [
            Sample(at_s=at_s, metric="flashcrowd_blocked_sessions", value=float(found.blocked)),
            Sample(at_s=at_s, metric="flashcrowd_block_tree_depth", value=float(found.depth)),
        ]

    async def close(self) -> None:
        """Close its connection and its file."""
        self._lines.close()
        await self._connection.close()

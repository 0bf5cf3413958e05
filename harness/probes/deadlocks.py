"""Deadlocks and other errors, from the server's log.

The log names every participant's statement, which the client that lost is not told; and unlike the server's counter it does
not lag. Each report becomes a line of ``deadlocks.jsonl`` at the time at which it was logged.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.clock import Origin
from harness.model import Sample
from harness.probes.connection import APPLICATION_NAME, ProbeConnection
from harness.probes.deadlock_report import parse_detail
from harness.probes.serverlog import MOST_BYTES, ServerLog, wall_s
from harness.record import format as layout
from harness.record.writer import JsonLines

DEADLOCK = "40P01"
CATCH_UP_LIMIT_S = 5.0
_LOOK_AGAIN_S = 0.02
_ERRORS = ("ERROR", "FATAL", "PANIC")


class DeadlockProbe:
    """Follows the server's log from now on and counts what concerns one database.

    :param log_folder: where the server's jsonlog is, PostgreSQL 15 or later, in UTC and in English
    :param database: errors of sessions of other databases are left out
    """

    name = "deadlocks"

    def __init__(self, log_folder: Path, database: str, folder: Path, origin: Origin) -> None:
        self._log = ServerLog(log_folder)
        self._database = database
        self._lines = JsonLines(folder / layout.DEADLOCKS)
        self._origin = origin
        self._errors: Counter[str] = Counter()
        self._awaited: str | None = None

    async def sample(self, at_s: float) -> list[Sample]:
        """``flashcrowd_log_deadlocks_total`` and ``flashcrowd_log_errors_total`` by SQLSTATE, as far as the log was read."""
        self._read(MOST_BYTES)
        samples = [
            Sample(at_s=at_s, metric="flashcrowd_log_deadlocks_total", value=float(self._errors[DEADLOCK])),
        ]
        for state, count in sorted(self._errors.items()):
            labels = {"sqlstate": state}
            samples.append(Sample(at_s=at_s, metric="flashcrowd_log_errors_total", value=float(count), labels=labels))
        return samples

    def drain(self) -> int:
        """Read the log to its end; returns how many deadlocks it held in all."""
        self._read(None)
        return self._errors[DEADLOCK]

    async def catch_up(self, connection: ProbeConnection, limit_s: float = CATCH_UP_LIMIT_S) -> bool:
        """Read everything that was logged before now; False if the log did not get there within the limit.

        Lines reach the file through another process of the server, but in order: a mark of our own comes last.
        """
        mark = f"flashcrowd reads up to here: {secrets.token_hex(8)}"
        await connection.fetch(f"DO $$ BEGIN RAISE LOG '{mark}'; END $$")
        self._awaited = mark
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while True:
                    self.drain()
                    if self._awaited is None:
                        return True
                    await asyncio.sleep(_LOOK_AGAIN_S)
        return False

    async def close(self) -> None:
        """Close its file."""
        self._lines.close()

    def _read(self, most: int | None) -> None:
        for record in self._log.read(most):
            if self._awaited is not None and record.get("message") == self._awaited:
                self._awaited = None
            if not self._concerns(record):
                continue
            state = str(record.get("state_code", "XX000"))
            if state == DEADLOCK:
                self._lines.append(_line(record, self._origin))
            self._errors[state] += 1

    def _concerns(self, record: Mapping[str, Any]) -> bool:
        return (
            record.get("error_severity") in _ERRORS
            and record.get("application_name") != APPLICATION_NAME
            # A session refused before it had a database has none in the log.
            and record.get("dbname") in (None, "", "[unknown]", self._database)
        )


def _line(record: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    return {
        "at_s": round(origin.from_wall(wall_s(record)), 3),
        "victim_pid": record["pid"],
        "processes": [
            {
                "pid": one.pid,
                "mode": one.mode,
                "object": one.object,
                "waits_for": f"{one.mode} on {one.object}",
                "blocked_by": one.blocked_by,
                "statement": one.statement,
            }
            for one in parse_detail(str(record.get("detail", "")))
        ],
        "failed_statement": record.get("statement"),
        "context": record.get("context"),
    }

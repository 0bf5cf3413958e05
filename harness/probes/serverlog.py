"""A server's log as it grows, one JSON object a line: a file, or PostgreSQL's jsonlog, a folder of files that rotate."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.probes.probe import Unmeasured

#: Read at most this much at a time, so that a server that floods its log does not hold up the harness.
MOST_BYTES = 4 * 1024 * 1024


class GrowingLog:
    """Follows one file. A line that is not whole yet waits; a file that shrank (truncated on rotation) is read from its start.

    :param whole: read what is there now as well; else only what follows
    """

    def __init__(self, path: Path, *, whole: bool = False) -> None:
        self._path = path
        self._offset = path.stat().st_size if not whole and path.exists() else 0
        #: bytes that the last call of :meth:`read` went through
        self.taken = 0

    def read(self, most: int | None = MOST_BYTES) -> Iterator[Mapping[str, Any]]:
        """What was logged since the last call.

        :param most: read about so many bytes and leave the rest for the next call; None reads to the end
        :raises OSError: the file cannot be read
        """
        data = self._new_bytes(most)
        self.taken = len(data)
        for line in data.split(b"\n"):
            try:
                record = json.loads(line)
            except ValueError:
                continue  # the end of a line that stood there, half written, when we began
            if isinstance(record, dict):
                yield record

    def _new_bytes(self, most: int | None) -> bytes:
        """Whole lines only; what follows the last line feed is left for the next time."""
        with self._path.open("rb") as file:
            if file.seek(0, 2) < self._offset:
                self._offset = 0
            file.seek(self._offset)
            data = file.read() if most is None else file.read(most) + file.readline()
        data = data[: data.rfind(b"\n") + 1]
        self._offset += len(data)
        return data


class ServerLog:
    """Follows every ``*.json`` in a folder, beginning after what is there now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, GrowingLog] = {path: GrowingLog(path) for path in folder.glob("*.json")}

    def read(self, most: int | None = MOST_BYTES) -> Iterator[Mapping[str, Any]]:
        """What was logged since the last call, oldest file first.

        :param most: read about so many bytes and leave the rest for the next call; None reads to the end
        :raises Unmeasured: there is no such log
        """
        files = sorted(self._folder.glob("*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        if not files:
            raise Unmeasured("the server writes no JSON log")
        for path in files:
            if most is not None and most <= 0:
                return
            log = self._files.setdefault(path, GrowingLog(path, whole=True))
            yield from log.read(most)
            if most is not None:
                most -= log.taken


def wall_s(record: Mapping[str, Any]) -> float:
    """When a line was logged, seconds since the Unix epoch; the log has milliseconds.

    :raises Unmeasured: ``log_timezone`` is not UTC, whose abbreviation would be ambiguous

    >>> wall_s({"timestamp": "1970-01-01 00:01:00.250 UTC"})
    60.25
    """
    text, _, zone = str(record["timestamp"]).rpartition(" ")
    if zone not in ("UTC", "GMT"):
        raise Unmeasured("the server's log_timezone is not UTC")
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()

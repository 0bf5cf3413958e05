"""The server's log as it grows: PostgreSQL's jsonlog (15 and later), one object a line, in a folder of files that rotate."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.probes.probe import Unmeasured

#: Read at most this much at a time, so that a server that floods its log does not hold up the harness.
MOST_BYTES = 4 * 1024 * 1024


class ServerLog:
    """Follows every ``*.json`` in a folder, beginning after what is there now.

    A line that is not whole yet waits; a file that shrank (truncated on rotation) is read from its start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[Path, int] = {path: path.stat().st_size for path in folder.glob("*.json")}

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
            data = self._new_bytes(path, most)
            if most is not None:
                most -= len(data)
            for line in data.split(b"\n"):
                try:
                    record = json.loads(line)
                except ValueError:
                    continue  # the end of a line that stood there, half written, when we began
                if isinstance(record, dict):
                    yield record

    def _new_bytes(self, path: Path, most: int | None) -> bytes:
        """Whole lines only; what follows the last line feed is left for the next time."""
        offset = self._offsets.get(path, 0)
        with path.open("rb") as file:
            if file.seek(0, 2) < offset:
                offset = 0
            file.seek(offset)
            data = file.read() if most is None else file.read(most) + file.readline()
        data = data[: data.rfind(b"\n") + 1]
        self._offsets[path] = offset + len(data)
        return data


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

"""Append-only writing. A line is written whole by one write(2), so a kill -9 tears at most the last one.

A reserve of a few megabytes is laid down in the experiment's folder at the start: when the disk fills up while
recording, it is freed, so that the verdict and the report can still be written.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import RecordingError
from harness.model import Event, Sample

RESERVE_BYTES = 8 * 1024 * 1024  # a report is at most 3 MB, beside it verdict, Markdown and Parquet of what there is
RESERVE_NAME = ".reserve"
#: Of an OSError: there is no room where it was to be written, or nothing can be written there at all.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


def write_json(path: Path, value: object) -> None:
    """Write a JSON file whole or not at all.

    :raises RecordingError: it cannot be written
    """
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: into a neighbour first, then renamed over it.

    :raises RecordingError: it cannot be written
    """
    neighbour = path.with_name(path.name + ".part")
    try:
        neighbour.write_text(text, encoding="utf-8")
        neighbour.replace(path)
    except OSError as error:
        with suppress(OSError):  # a disk that takes no writing may take no removing either
            neighbour.unlink()
        raise no_room(path, error) from error


class JsonLines:
    """A file to which JSON lines are appended, unbuffered.

    :raises RecordingError: the file cannot be opened or written
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise no_room(path, error) from error

    def append(self, value: object) -> None:
        """Append one line."""
        append_whole(
            self._fd, (json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n").encode(), self.path
        )

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class SampleWriter:
    """Appends a probe's samples to a run folder.

    :param stem: ``samples`` for the harness, ``samples-worker-0`` for a worker
    """

    def __init__(self, folder: Path, stem: str = "samples") -> None:
        self._lines = JsonLines(folder / f"{stem}.jsonl")

    def append(self, probe: str, at_s: float, took_s: float, samples: Iterable[Sample]) -> None:
        """Append one tick of one probe. Its samples bear the tick's time, unless they were measured at another."""
        rows = [
            [
                sample.metric,
                dict(sample.labels),
                sample.value,
                *([] if sample.at_s == at_s else [round(sample.at_s, 6)]),
            ]
            for sample in samples
        ]
        self._lines.append({"at_s": round(at_s, 6), "probe": probe, "took_s": round(took_s, 6), "samples": rows})

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


class EventWriter:
    """Appends events to a run folder; ``stem`` as for :class:`SampleWriter`."""

    def __init__(self, folder: Path, stem: str = "events") -> None:
        self._lines = JsonLines(folder / f"{stem}.jsonl")

    def append(self, event: Event) -> None:
        """Append one event."""
        self._lines.append(
            {"at_s": round(event.at_s, 6), "kind": event.kind, "text": event.text, "fields": dict(event.fields)}
        )

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


@contextmanager
def reserve(folder: Path) -> Iterator[None]:
    """Keep a reserve of disk in a folder; whoever is told that the disk is full frees it before this ends.

    It is locked for as long as it is kept, which tells it from one that a killed run left.

    :raises RecordingError: there is not even room for it
    """
    path = folder / RESERVE_NAME
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise no_room(path, error) from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(fd, 0, RESERVE_BYTES)
            else:
                append_whole(fd, b"\0" * RESERVE_BYTES, path)
        except OSError as error:
            raise no_room(path, error) from error
        yield
    finally:
        free_reserve(folder)
        os.close(fd)


def free_reserve(folder: Path) -> None:
    """Free the reserve; nothing happens where there is none."""
    path = folder / RESERVE_NAME
    with suppress(OSError):
        os.truncate(
            path, 0
        )  # its owner has it open, and a file that is only unlinked keeps its room until it is closed
        path.unlink()


def free_left_reserve(folder: Path) -> None:
    """Free the reserve of a run that was killed; that of a live run is left alone."""
    with suppress(OSError), (folder / RESERVE_NAME).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free_reserve(folder)


def append_whole(fd: int, data: bytes, path: Path) -> None:
    """Append ``data`` with one write; a short write is cut back and tried once more, so that rows stay aligned.

    :raises RecordingError: the disk is full, or the file is gone
    """
    try:
        before = os.fstat(fd).st_size
        for _ in range(2):
            if os.write(fd, data) == len(data):
                return
            os.ftruncate(fd, before)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise no_room(path, error) from error


def no_room(path: Path, error: OSError) -> RecordingError:
    """The error for a file that cannot be written, with what to do."""
    return RecordingError(
        f"cannot write {path}: {error.strerror or error}; free some space there, or choose another folder with --out"
    )

"""The shared memory of a server that was killed: a server that stops removes its own, a killed one leaves it to us.

It is read from the running server (Linux only) and told by name and inode, key and number, so that nothing that was given
the same name since is touched.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

IPC_RMID = 0
_PREFIX = "/dev/shm/PostgreSQL."


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedMemory:
    """What a server holds.

    :param files: path and inode of each file of its dynamic shared memory
    :param segment: key and number of its System V segment, by which it knows that it is alone on its data folder
    """

    files: tuple[tuple[str, int], ...] = ()
    segment: tuple[int, int] | None = None

    def release(self) -> None:
        """Remove what is left of it; nothing happens where the server did so."""
        for name, inode in self.files:
            with suppress(OSError):
                if Path(name).stat().st_ino == inode:
                    Path(name).unlink()
        if self.segment is not None and _unused(*self.segment):
            ctypes.CDLL(None).shmctl(self.segment[1], IPC_RMID, None)


def of_server(pid: int, data: Path) -> SharedMemory:
    """What the postmaster ``pid`` on ``data`` holds at this moment; nothing where the system does not tell."""
    files: set[tuple[str, int]] = set()
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            words = line.split()
            if len(words) == 6 and words[5].startswith(_PREFIX):
                files.add((words[5], int(words[4])))
    segment = None
    with suppress(OSError, ValueError, IndexError):
        # The seventh line of postmaster.pid.
        key, number = (data / "postmaster.pid").read_text().splitlines()[6].split()
        segment = (int(key), int(number))
    return SharedMemory(files=tuple(sorted(files)), segment=segment)


def _unused(key: int, number: int) -> bool:
    """Whether that segment is there and no process is attached to it."""
    with suppress(OSError):
        for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
            words = line.split()
            if (int(words[0]) & 0xFFFFFFFF, int(words[1])) == (key & 0xFFFFFFFF, number):
                return words[6] == "0"
    return False

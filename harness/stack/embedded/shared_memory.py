"""The shared memory of a server that was killed: a server that stops removes its own, a killed one leaves it to us.

It is read from the running server, or from what a dead one noted in its data folder (Linux only), and told by name and
inode, key and number, so that nothing that was given the same name since is touched.
"""

from __future__ import annotations

import ctypes
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

IPC_RMID = 0
SHM_RDONLY = 0o10000
_PREFIX = "/dev/shm/PostgreSQL."
_MAGIC = 0x9A503D32
_HEADER = struct.Struct("@IIIxxxx")  # magic, items, most items
_ITEM = struct.Struct("@IINNP?xxxxxxx")  # handle, references (0: unused), first page, pages, private, pinned
_SEGMENT_MAGIC = 679834894
#: Of a System V segment: magic, creator, size, free, handle of the control segment, index, device and inode of the data folder.
_SEGMENT = struct.Struct("@iiNNIPLL")


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedMemory:
    """What a server holds.

    :param files: path and inode of the file in which it lists its dynamic shared memory
    :param segment: key and number of its System V segment, by which it knows that it is alone on its data folder
    """

    files: tuple[tuple[str, int], ...] = ()
    segment: tuple[int, int] | None = None

    def release(self) -> None:
        """Remove what is left of it; nothing happens where the server did so."""
        for name, inode in self.files:
            with suppress(OSError):
                if Path(name).stat().st_ino == inode:
                    for listed in (*_listed(Path(name).read_bytes()), name):
                        Path(listed).unlink(missing_ok=True)
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
    return SharedMemory(files=tuple(sorted(files)), segment=_noted(data))


def of_data_folder(data: Path) -> SharedMemory:
    """What a server that was killed left, as PostgreSQL itself finds it at its next start on ``data``; nothing where it
    stopped by itself, or where its segment is gone or another's."""
    segment = _noted(data)
    if segment is None or not _unused(*segment):
        return SharedMemory()
    files: list[tuple[str, int]] = []
    with suppress(OSError):
        magic, _, _, _, control, _, device, inode = _SEGMENT.unpack(_attached(segment[1], _SEGMENT.size))
        found = data.stat()
        if (magic, device, inode) != (_SEGMENT_MAGIC, found.st_dev, found.st_ino):
            return SharedMemory()
        name = f"{_PREFIX}{control}"
        there = Path(name).stat()
        if there.st_uid == found.st_uid:
            files.append((name, there.st_ino))
    return SharedMemory(files=tuple(files), segment=segment)


def _noted(data: Path) -> tuple[int, int] | None:
    """Key and number of the segment, of which ``postmaster.pid`` has a line while a server runs, and after it was killed."""
    with suppress(OSError, ValueError, IndexError):
        key, number = (data / "postmaster.pid").read_text().splitlines()[6].split()
        return int(key), int(number)
    return None


def _attached(number: int, size: int) -> bytes:
    """The first bytes of a System V segment.

    :raises OSError: it is gone, or another's
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype, libc.shmat.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
    address = libc.shmat(number, None, SHM_RDONLY)
    if address is None or address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "shmat")
    try:
        return ctypes.string_at(address, size)
    finally:
        libc.shmdt(ctypes.c_void_p(address))


def _listed(control: bytes) -> list[str]:
    """Paths of the segments in use that a control segment lists, as PostgreSQL's own clean-up after a crash reads them.

    Source: dsm.c, ``dsm_control_header`` and ``dsm_control_item``, the same from 14 to 18.
    """
    if len(control) < _HEADER.size or _HEADER.unpack_from(control)[0] != _MAGIC:
        return []
    count = min(_HEADER.unpack_from(control)[1], (len(control) - _HEADER.size) // _ITEM.size)
    items = (_ITEM.unpack_from(control, _HEADER.size + number * _ITEM.size) for number in range(count))
    return [f"{_PREFIX}{handle}" for handle, references, *_ in items if references > 0]


def _unused(key: int, number: int) -> bool:
    """Whether that segment is there and no process is attached to it."""
    with suppress(OSError):
        for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
            words = line.split()
            if (int(words[0]) & 0xFFFFFFFF, int(words[1])) == (key & 0xFFFFFFFF, number):
                return words[6] == "0"
    return False

"""The folder that a server lives in, and who owns it.

All folders are under one of our own in the system's folder for temporary files, whose path is short: a Unix socket's
path may have 107 bytes. Each holds

    owner.json   who made it: harness and, once started, the server
    data/        the cluster, or a mongod's files
    log/         what the server says
    .s.PGSQL.*   PostgreSQL's socket

Folders are made and swept under one lock, so that a folder is never seen without its owner.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import StackError
from harness.stack import processes
from harness.stack.embedded import shared_memory
from harness.stack.embedded.account import Account
from harness.stack.embedded.shared_memory import SharedMemory
from harness.stack.processes import Identity

OWNER = "owner.json"
LOCK = "lock"
# Named when PostgreSQL was the only server: runs of that time look for it, and take a folder without it for abandoned.
_SERVER = "postmaster"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who made a folder and which server runs in it, with what memory; None where none was recorded.

    :param server: its main process: a postmaster, or a mongod
    """

    harness: Identity | None
    server: Identity | None
    memory: SharedMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A folder for one server."""

    folder: Path

    @property
    def data(self) -> Path:
        """The cluster's folder; made by whoever fills it."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """Where the server writes its logs."""
        return self.folder / "log"

    def record(self, server: Identity | None, memory: SharedMemory | None = None) -> None:
        """Write down that this process owns the folder, and which server runs in it with what memory."""
        value = {
            "harness": asdict(Identity.of(os.getpid())),
            _SERVER: None if server is None else asdict(server),
            "memory": asdict(memory or SharedMemory()),
        }
        neighbour = self.folder / (OWNER + ".part")
        neighbour.write_text(json.dumps(value) + "\n", encoding="utf-8")
        neighbour.replace(self.folder / OWNER)

    def owner(self) -> Owner:
        """Who owns it; nobody where the record is missing or torn."""
        try:
            value = json.loads((self.folder / OWNER).read_text(encoding="utf-8"))
            memory = value["memory"]
            return Owner(
                harness=_identity(value["harness"]),
                server=_identity(value[_SERVER]),
                memory=SharedMemory(
                    files=tuple((str(name), int(inode)) for name, inode in memory["files"]),
                    segment=None if memory["segment"] is None else (memory["segment"][0], memory["segment"][1]),
                ),
            )
        except (OSError, ValueError, LookupError, TypeError):
            return Owner(harness=None, server=None, memory=SharedMemory())

    def remove(self) -> None:
        """Remove the folder with all that is in it, and the shared memory that a server killed there left.

        Call it when none of its processes is left.
        """
        shared_memory.of_data_folder(self.data).release()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists():  # a server's last breath may put a file into a folder that is being removed
            shutil.rmtree(self.folder)


def base() -> Path:
    """The folder of all instances of this user; made where it is missing.

    :raises StackError: somebody else made it, or it cannot be made
    """
    folder = Path(tempfile.gettempdir()).resolve() / f"flashcrowd-{os.geteuid()}"
    # Where we are root the server's user must pass through, but need not list it.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        folder.mkdir(mode=mode, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise StackError(f"{folder} cannot be made ({error.strerror}): point TMPDIR to a folder of yours") from error
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
        raise StackError(f"{folder} is not ours: remove it, or point TMPDIR to a folder of yours")
    folder.chmod(mode)  # whatever the umask was
    return folder


@contextmanager
def lock() -> Iterator[Path]:
    """Keep others from making or sweeping instances meanwhile; gives the folder of all instances."""
    folder = base()
    with (folder / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield folder


@contextmanager
def make(account: Account) -> Iterator[Instance]:
    """Make a folder for a server that runs as ``account``; removed on every path."""
    instance = Instance(folder=base() / secrets.token_hex(4))
    try:
        with lock():
            instance.folder.mkdir(mode=0o700)
            instance.record(None)
        instance.log.mkdir(mode=0o700)
        account.own(instance.folder)
        yield instance
    finally:
        # None is left unless an interrupt came between the start of a server and the note of it.
        processes.end(processes.of_data_folder(instance.data))
        instance.remove()


def existing(folder: Path) -> list[Instance]:
    """All instances under the folder of all instances; call it under :func:`lock`."""
    return [
        Instance(folder=path)
        for path in sorted(folder.iterdir())
        if path.is_dir() and not path.is_symlink() and len(path.name) == 8
    ]


def _identity(value: dict[str, float] | None) -> Identity | None:
    return None if value is None else Identity(pid=int(value["pid"]), started_s=float(value["started_s"]))

"""Where containers keep their data: in volumes of the engine, or in the stack's folder, where child processes keep theirs.

The second is chosen by FLASHCROWD_CONTAINER_DISKS=tmpdir: the folder is under TMPDIR, so data can be on another disk than the
engine's, or in memory, where it counts as memory of the container. For the engine it is a volume all the same.
"""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from docker.types import DriverConfig, Mount

from harness.errors import StackError

VARIABLE = "FLASHCROWD_CONTAINER_DISKS"
ENGINE, TMPDIR = "engine", "tmpdir"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The folder of one container's data; it is there until :meth:`remove`."""

    folder: Path

    def volume(self, inside: str) -> Mount:
        """A volume in it.

        :param inside: where the container sees it
        """
        path = self.folder / inside.strip("/").replace("/", "-")
        path.mkdir()
        options = {"type": "none", "o": "bind", "device": str(path)}
        return Mount(inside, None, type="volume", driver_config=DriverConfig("local", options))

    def remove(self) -> None:
        """Remove it with all that its container wrote, which must be gone."""
        shutil.rmtree(self.folder, ignore_errors=True)  # what is left goes with the stack's folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Disks:
    """A folder with the disk of each container of a stack.

    :param folder: None: the engine keeps them
    """

    folder: Path | None

    @classmethod
    def chosen(cls, folder: Path) -> Disks:
        """As the environment says.

        :param folder: the stack's
        :raises StackError: it says something else, or this user could not remove what servers write there
        """
        said = os.environ.get(VARIABLE) or ENGINE
        if said == ENGINE:
            return cls(folder=None)
        if said != TMPDIR:
            raise StackError(f"{VARIABLE} is {said!r}: it may be {ENGINE} or {TMPDIR}")
        if os.geteuid() != 0:
            raise StackError(
                f"{VARIABLE}={TMPDIR} needs root, as only root can remove what other users' servers write: unset it"
            )
        return cls(folder=folder / "disks")

    @property
    def where(self) -> str:
        """For the record: which of the two."""
        return ENGINE if self.folder is None else TMPDIR

    def make(self, server: str) -> Disk | None:
        """A new disk; None: the engine makes it."""
        if self.folder is None:
            return None
        made = Disk(folder=self.folder / f"{server}-{secrets.token_hex(4)}")
        made.folder.mkdir(parents=True)
        return made

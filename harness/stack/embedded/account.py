"""Which user a server runs as. PostgreSQL refuses to run as root, so where we are root it gets another user."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from harness.errors import StackError

# In this order: ``nobody`` owns nothing, while ``postgres`` may own the machine's real databases.
CANDIDATES = ("nobody", "postgres", "daemon")


class SpawnArguments(TypedDict, total=False):
    """Arguments of :class:`subprocess.Popen` that make the child run as an account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of this system.

    :param switched: whether it is another user than ours
    """

    name: str
    uid: int
    gid: int
    switched: bool

    def spawn_arguments(self) -> SpawnArguments:
        """What :class:`subprocess.Popen` needs to start a child as this account; the child's groups are its own only."""
        return SpawnArguments(user=self.uid, group=self.gid, extra_groups=[]) if self.switched else SpawnArguments()

    def own(self, path: Path) -> None:
        """Give a file, or a folder with all that is in it, to this account; nothing happens where it is ours anyway."""
        if not self.switched:
            return
        os.lchown(path, self.uid, self.gid)
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.lchown(Path(folder) / name, self.uid, self.gid)


def own() -> Account:
    """The account that we are."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # containers run with any uid
        name = str(uid)
    return Account(name=name, uid=uid, gid=os.getegid(), switched=False)


def for_servers() -> Account:
    """The account that servers run as: ours, or an unprivileged one where we are root.

    :raises StackError: we are root and there is no other user
    """
    if os.geteuid() != 0:
        return own()
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid, switched=True)
    raise StackError(
        f"PostgreSQL refuses to run as root, and there is no user {' or '.join(CANDIDATES)} to run it as: "
        "run flashcrowd as an ordinary user, or add one of these"
    )

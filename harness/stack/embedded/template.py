"""The cache of seeded clusters: a dataset is seeded once, every run starts from a copy.

An entry is named by all that it is made of: the dataset's module, version and files, scale, seed and the PostgreSQL. It is
built in an instance folder, copied beside its place and renamed into it, so that it is whole or not there; its manifest
has size and checksum of each file, so that damage is found and the entry made anew. A lock for each entry lets two runs
at once make it once.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql

from harness.dataset import Fixture
from harness.errors import StackError
from harness.stack.embedded import instance as instances
from harness.stack.embedded import server as servers
from harness.stack.embedded.account import Account
from harness.stack.embedded.binaries import Binaries
from harness.stack.embedded.instance import Instance
from harness.stack.embedded.server import Server

RECIPE = 1  # to be raised whenever this module puts something else into a cluster
KEPT = 8  # entries; beyond them the one least recently used goes. A full-size dataset has 200 MB
MANIFEST = "manifest.json"
PART = ".part"
DATABASE = "crowd"
TEMPLATE = "crowd_template"
APPLICATION_USER = "app"
INITDB_S = 300.0

# Speed without durability: what is built here counts only once it is stopped cleanly, copied and checksummed.
_BUILD_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "maintenance_work_mem": "256MB",
}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that a seeded cluster is made of."""

    fixture: Fixture
    scale: float
    seed: int
    binaries: Binaries
    account: Account

    def made_of(self) -> dict[str, object]:
        """The same as JSON values; equal recipes give equal clusters."""
        return {
            "recipe": RECIPE,
            "module": self.fixture.module,
            "version": self.fixture.version,
            "files": self.fixture.fingerprint(),
            "scale": self.scale,
            "seed": self.seed,
            "postgres": self.binaries.version,
            "machine": f"{platform.system()} {platform.machine()}",
        }

    def key(self) -> str:
        """Name of the entry."""
        text = json.dumps(self.made_of(), sort_keys=True)
        return f"{self.fixture.module.rpartition('.')[2]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def cache_folder() -> Path:
    """Where seeded clusters are kept: FLASHCROWD_CACHE, or ``flashcrowd`` in the user's cache folder."""
    named = os.environ.get("FLASHCROWD_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "flashcrowd"


def put_into(target: Path, recipe: Recipe, say: Say) -> None:
    """Put a copy of the seeded cluster at ``target``, owned by the server's account; seeds it where the cache has none.

    :raises StackError: the cache cannot be written, or seeding failed
    """
    clusters = cache_folder() / "clusters"
    try:
        clusters.mkdir(parents=True, exist_ok=True)
        entry = clusters / recipe.key()
        with _locked(entry, say):
            damage = _damage(entry)
            if damage is not None:
                if entry.exists():
                    say(f"the cached dataset is damaged ({damage}): making it anew")
                _build(entry, recipe, say)
            os.utime(entry)
            copy_tree(entry / "data", target)
        _prune(clusters, keep=entry)
    except OSError as error:
        raise StackError(
            f"the cache of datasets in {clusters} cannot be used ({error}): "
            "free some space there, or point FLASHCROWD_CACHE to another folder"
        ) from error
    recipe.account.own(target)
    target.chmod(0o700)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder with modes and times; shares the blocks where the file system can."""
    flags = ["-c", "-R", "-p"] if platform.system() == "Darwin" else ["-a", "--reflink=auto"]
    done = subprocess.run(["cp", *flags, str(source), str(target)], capture_output=True, check=False)
    if done.returncode != 0:  # a cp without these flags, or a file system that refuses them
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, symlinks=True)


@contextmanager
def _locked(entry: Path, say: Say) -> Iterator[None]:
    with _lock_path(entry).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run uses this dataset's cache: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lock_path(entry: Path) -> Path:
    return entry.with_name(entry.name + ".lock")


def _build(entry: Path, recipe: Recipe, say: Say) -> None:
    part = entry.with_name(entry.name + PART)
    for old in (entry, part):  # the lock is ours, so what is there is damaged or left by a killed build
        shutil.rmtree(old, ignore_errors=True)
    say(f"seeding {recipe.fixture.module} at scale {recipe.scale:g} (kept for later runs)")
    with instances.make(recipe.account) as instance:
        _initialise(instance, recipe)
        original = (instance.data / "postgresql.conf").read_text(encoding="utf-8")
        server = servers.start(
            instance, binaries=recipe.binaries, account=recipe.account, settings=_BUILD_SETTINGS, cores=None
        )
        try:
            _seed(server, recipe)
        finally:
            server.stop()
        (instance.data / "postgresql.conf").write_text(original, encoding="utf-8")
        part.mkdir()
        copy_tree(instance.data, part / "data")
    manifest = {"made_of": recipe.made_of(), "files": _files(part / "data"), "folders": _folders(part / "data")}
    (part / MANIFEST).write_text(json.dumps(manifest) + "\n", encoding="utf-8")
    part.rename(entry)


def _initialise(instance: Instance, recipe: Recipe) -> None:
    command = [recipe.binaries.program("initdb"), "-D", str(instance.data), "-U", servers.SUPERUSER]
    # Trust: it listens on loopback only. No locale: the same order of texts on every system.
    command += ["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=instance.folder,
            env=servers.environment(),
            timeout=INITDB_S,
            check=False,
            **recipe.account.spawn_arguments(),
        )
    except subprocess.TimeoutExpired as error:
        raise StackError(f"initdb was given {INITDB_S:.0f} s and had not ended: is the disk very slow?") from error
    if done.returncode != 0:
        raise StackError(f"initdb ended with exit status {done.returncode}:\n{done.stdout}{done.stderr}")


def _seed(server: Server, recipe: Recipe) -> None:
    try:
        with server.connect("postgres") as admin:
            admin.execute("CREATE EXTENSION pg_stat_statements")
            admin.execute(f"CREATE ROLE {APPLICATION_USER} LOGIN IN ROLE pg_read_all_data, pg_write_all_data")
            admin.execute(f"CREATE DATABASE {TEMPLATE}")
        with server.connect(TEMPLATE) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
            connection.autocommit = False
            recipe.fixture.seed(connection, recipe.scale, recipe.seed)
            connection.commit()
            connection.autocommit = True
            connection.execute("VACUUM (FREEZE, ANALYZE)")
        with server.connect("postgres") as admin:
            admin.execute(f"ALTER DATABASE {TEMPLATE} IS_TEMPLATE true ALLOW_CONNECTIONS false")
            copy_database(admin)
            admin.execute("CHECKPOINT")
    except psycopg.Error as error:
        raise StackError(
            f"seeding {recipe.fixture.module} failed: {error}\nthe server's last lines:\n{server.last_lines()}"
        ) from error


def copy_database(admin: psycopg.Connection) -> None:
    """Make the database ``crowd`` from its template; ``admin`` must be connected to another one."""
    # Copying files beats logging every page by far at this size. Before 15 there is no other way, nor a word for it.
    strategy = sql.SQL("STRATEGY FILE_COPY" if admin.info.server_version >= 150000 else "")
    admin.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {} {}").format(
            sql.Identifier(DATABASE), sql.Identifier(TEMPLATE), strategy
        )
    )


def _damage(entry: Path) -> str | None:
    """What is wrong with an entry; None where it is whole."""
    try:
        manifest = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))
        files, folders = manifest["files"], manifest["folders"]
    except FileNotFoundError:
        return "its manifest is missing"
    except (ValueError, KeyError, TypeError):
        return "its manifest cannot be read"
    if _folders(entry / "data") != folders:
        return "folders are missing or added"
    found = _files(entry / "data")
    if found != files:
        wrong = sorted(name for name in files.keys() | found.keys() if files.get(name) != found.get(name))
        return f"{len(wrong)} files differ, such as {wrong[0]}"
    return None


def _files(data: Path) -> dict[str, list[int]]:
    """Size and CRC-32 of each file."""
    paths = sorted(path for path in data.rglob("*") if path.is_file())
    with ThreadPoolExecutor(max_workers=4) as pool:  # both reading and summing leave the interpreter's lock
        sums = pool.map(_sum, paths)
        return {str(path.relative_to(data)): list(found) for path, found in zip(paths, sums, strict=True)}


def _sum(path: Path) -> tuple[int, int]:
    size = total = 0
    with path.open("rb") as file:
        while chunk := _read(file):
            size += len(chunk)
            total = zlib.crc32(chunk, total)
    return size, total


def _read(file: IO[bytes]) -> bytes:
    return file.read(1 << 20)


def _folders(data: Path) -> list[str]:
    return sorted(str(path.relative_to(data)) for path in data.rglob("*") if path.is_dir())


def _prune(clusters: Path, *, keep: Path) -> None:
    """Remove the entries least recently used, and what killed builds left."""
    folders = [path for path in clusters.iterdir() if path.is_dir()]
    parts = [path for path in folders if path.suffix == PART]
    entries = [path for path in folders if path.suffix != PART and path != keep]
    entries.sort(key=_used_at, reverse=True)
    for path in (*entries[KEPT - 1 :], *parts):
        with _lock_path(path.with_suffix("")).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # somebody uses it
            shutil.rmtree(path, ignore_errors=True)


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another run removed it meanwhile
        return 0.0

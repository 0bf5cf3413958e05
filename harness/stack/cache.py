"""The cache of seeded data folders: a dataset is seeded once, every run starts from a copy.

An entry is named by all that it is made of. It is built beside its place and renamed into it, so that it is whole or not
there; its manifest has size and checksum of each file, so that damage is found and the entry made anew. A lock for each
entry lets two runs at once make it once; those that only copy it do not wait for each other.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from harness.errors import StackError
from harness.stack.recipe import Recipe

KEPT = 8  # entries; beyond them the one least recently used goes. A full-size dataset has 200 MB
MANIFEST = "manifest.json"
PART = ".part"
PORTION = 64

Say = Callable[[str], None]


def key(recipe: Recipe) -> str:
    """Name of an entry: the dataset's, and a digest of all that it is made of."""
    return f"{recipe.fixture.module.rpartition('.')[2]}-{recipe.digest()[:16]}"


def cache_folder() -> Path:
    """Where seeded clusters are kept: FLASHCROWD_CACHE, or ``flashcrowd`` in the user's cache folder."""
    named = os.environ.get("FLASHCROWD_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "flashcrowd"


def put_into(target: Path, recipe: Recipe, build: Callable[[Path], None], say: Say) -> None:
    """Put a copy of a seeded data folder at ``target``.

    :param build: makes it at the path that it is given, where the cache has none
    :raises StackError: the cache cannot be written; and what ``build`` raises
    """
    with held(recipe, build, say) as data:
        copy_tree(data, target)


@contextmanager
def held(recipe: Recipe, build: Callable[[Path], None], say: Say) -> Iterator[Path]:
    """A seeded data folder to copy from, where the cache keeps it: nobody changes it meanwhile.

    :param build: makes it at the path that it is given, where the cache has none
    :raises StackError: the cache cannot be written; and what ``build`` raises
    """
    clusters = cache_folder() / "clusters"
    try:
        clusters.mkdir(parents=True, exist_ok=True)
        entry = clusters / key(recipe)
        with _lock_path(entry).open("w") as lock:
            _take(lock, fcntl.LOCK_SH, say)
            if _damage(entry) is not None:
                _take(lock, fcntl.LOCK_EX, say)
                damage = _damage(entry)  # whoever had the lock meanwhile may have made it
                if damage is not None:
                    if entry.exists():
                        say(f"the cached dataset is damaged ({damage}): making it anew")
                    _make(entry, recipe, build)
            os.utime(entry)
            yield entry / "data"
        _prune(clusters, keep=entry)
    except OSError as error:
        raise StackError(
            f"the cache of datasets in {clusters} cannot be used ({error}): "
            "free some space there, or point FLASHCROWD_CACHE to another folder"
        ) from error


def copy_tree(source: Path, target: Path, *, with_holes: bool = False) -> None:
    """Copy a folder with modes and times; shares the blocks where the file system can.

    :param with_holes: whether room that was only reserved is left out, where the system's ``cp`` can
    """
    flags = ["-c", "-R", "-p"] if platform.system() == "Darwin" else ["-a", "--reflink=auto"]
    if with_holes and platform.system() != "Darwin":
        flags.append("--sparse=always")
    done = subprocess.run(["cp", *flags, str(source), str(target)], capture_output=True, check=False)
    if done.returncode != 0:  # a cp without these flags, or a file system that refuses them
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, symlinks=True)


def _make(entry: Path, recipe: Recipe, build: Callable[[Path], None]) -> None:
    part = entry.with_name(entry.name + PART)
    for old in (entry, part):  # the lock is ours, so what is there is damaged or left by a killed build
        shutil.rmtree(old, ignore_errors=True)
    part.mkdir()
    try:
        build(part / "data")
        files, folders = _tree(part / "data")
        manifest = {"made_of": recipe.made_of(), "files": _sums(part / "data", files), "folders": folders}
        (part / MANIFEST).write_text(json.dumps(manifest) + "\n", encoding="utf-8")
        part.rename(entry)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _take(lock: IO[str], kind: int, say: Say) -> None:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another run uses this dataset's cache: waiting for it")
        fcntl.flock(lock, kind)


def _lock_path(entry: Path) -> Path:
    return entry.with_name(entry.name + ".lock")


def _damage(entry: Path) -> str | None:
    """What is wrong with an entry; None where it is whole."""
    try:
        manifest = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))
        files, folders = manifest["files"], manifest["folders"]
    except FileNotFoundError:
        return "its manifest is missing"
    except (ValueError, KeyError, TypeError):
        return "its manifest cannot be read"
    if not (entry / "data").is_dir():
        return "its data is missing"
    there, those = _tree(entry / "data")
    if those != folders:
        return "folders are missing or added"
    found = _sums(entry / "data", there)
    if found != files:
        wrong = sorted(name for name in files.keys() | found.keys() if files.get(name) != found.get(name))
        return f"{len(wrong)} files differ, such as {wrong[0]}"
    return None


def _tree(data: Path) -> tuple[list[str], list[str]]:
    """Files and folders below a folder, in order, as paths from there. A cluster has a thousand: names are joined as texts."""
    files: list[str] = []
    folders: list[str] = []
    waiting = [""]
    while waiting:
        parent = waiting.pop()
        with os.scandir(data / parent) as entries:
            for entry in entries:
                name = f"{parent}{entry.name}"
                if entry.is_dir():
                    folders.append(name)
                    if not entry.is_symlink():
                        waiting.append(f"{name}/")
                elif entry.is_file():
                    files.append(name)
    return sorted(files), sorted(folders)


def _sums(data: Path, files: Sequence[str]) -> dict[str, list[int]]:
    """Size and CRC-32 of each file."""
    root = f"{data}/"
    # Both reading and summing leave the interpreter's lock; a thread is handed many at a time, as most are small.
    with ThreadPoolExecutor(max_workers=4) as pool:
        sums = pool.map(lambda some: [_sum(root + name) for name in some], _portions(files))
        return dict(zip(files, (found for some in sums for found in some), strict=True))


def _portions(files: Sequence[str]) -> list[Sequence[str]]:
    return [files[at : at + PORTION] for at in range(0, len(files), PORTION)]


def _sum(path: str) -> list[int]:
    size = total = 0
    with Path(path).open("rb", buffering=0) as file:
        while chunk := file.read(1 << 20):
            size += len(chunk)
            total = zlib.crc32(chunk, total)
    return [size, total]


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

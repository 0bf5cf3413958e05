"""Stacks that a test may break: each test here has a folder of instances of its own, so that it sweeps only its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.model import Dataset
from harness.stack import processes
from harness.stack.embedded import port as ports
from harness.stack.embedded.instance import Instance

ROOT = Path(__file__).parents[3]
SCALE = 0.02


class Run:
    """A run in a process of its own; see ``runner.py``."""

    def __init__(self, *, seed: int, environment: dict[str, str], user: int | None, replicas: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.stack.runner", *map(str, (SCALE, seed, user or 0, replicas))],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.said: list[str] = []

    def await_up(self) -> dict[str, Any]:
        """Wait until the stack is up; where everything is."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            value: dict[str, Any] = json.loads(line)
            if "said" not in value:
                return value
            self.said.append(value["said"])
        raise AssertionError(f"the run ended before its stack was up: {self.process.communicate()[1]}")

    def end(self) -> tuple[int, str]:
        """Let it end; its exit status and standard error."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short folder for temporary files that any user may use, as the system's is."""
    folder = Path(tempfile.mkdtemp(prefix="fc-")).resolve()
    folder.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def begin(place: Path) -> Iterator[Callable[..., Run]]:
    """Begins runs; what is left of them after the test is killed."""
    begun: list[Run] = []

    def begin_one(*, seed: int = 1, user: int | None = None, replicas: int = 0, **environment: str) -> Run:
        begun.append(Run(seed=seed, environment=environment, user=user, replicas=replicas))
        return begun[-1]

    yield begin_one
    for run in begun:
        if run.process.poll() is None:
            run.process.kill()
        run.process.communicate()
    for data in place.glob("*/*/data"):
        processes.end(processes.of_data_folder(data))
        Instance(folder=data.parent).remove()


@pytest.fixture
def instances_left(place: Path) -> Callable[[], list[Path]]:
    """Gives the instance folders that are there."""
    return lambda: [path for path in place.glob("flashcrowd-*/*") if path.is_dir() and len(path.name) == 8]


@pytest.fixture
def collectibles() -> Dataset:
    """The dataset."""
    return Dataset(module="fixtures.collectibles", version=1)


def listens(port: int) -> bool:
    """Whether something takes connections at that port."""
    with socket.socket() as client:
        return client.connect_ex((ports.HOST, port)) == 0


def gone(pid: int) -> bool:
    """Whether that process has ended; waits a moment for it."""
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return True
    return not psutil.wait_procs([process], timeout=10)[1]

"""A disk that is full: at the start nothing is begun, later on what was recorded is judged and reported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import Exit
from tests.integration.command import Place, ask

INCIDENT = "one-statement"
MAY_NOT = "needs Linux and the right to mount a file system of a few megabytes"


@pytest.fixture
def disk(place: Place) -> Iterator[Callable[[int], Path]]:
    """Makes a small disk of so many MiB."""
    mounted: list[Path] = []

    def make(size: int) -> Path:
        folder = place.folder / f"disk-{size}"
        folder.mkdir()
        program = shutil.which("mount")
        if program is None or os.geteuid() != 0:
            pytest.skip(MAY_NOT)
        command = [program, "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(folder)]
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            pytest.skip(MAY_NOT)
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Take all room that is left."""
    with (folder / "somebody-elses").open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(b"\0" * size)
            except OSError:
                size //= 2


def test_it_fills_up_while_recording(place: Place, disk: Callable[[int], Path]) -> None:
    out = disk(12)
    command = place.begin_run(INCIDENT, "--duration", "60s", "--out", str(out))
    run = place.await_load(INCIDENT, "before", out, rows=200)
    recorded = sum(path.stat().st_size for path in run.glob("requests-*.rows")) // 40
    fill(out)
    assert command.end() == Exit.UNKNOWN, command.printed
    last = command.printed.strip().splitlines()[-1]
    assert last.startswith("flashcrowd: ") and "--out" in last and "free some space there" in last, command.printed
    assert "Traceback" not in command.printed

    folder = run.parent
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["status"] == "unknown"
    assert "cannot write" in verdict["variants"]["before"]["why_invalid"][0]
    assert all((folder / name).stat().st_size for name in ("report.html", "report.md", "junit.xml"))
    # what was written before is whole
    ((count, broken),) = ask(run, "SELECT count(*), count(*) FILTER (finished_ns < intended_ns) FROM requests")
    assert isinstance(count, int) and count >= recorded
    assert broken == 0
    assert place.left() == []


@pytest.mark.parametrize("size", [1, 6], ids=["not even a folder's worth", "less than the reserve"])
def test_there_is_no_room_at_the_start(place: Place, disk: Callable[[int], Path], size: int) -> None:
    out = disk(size)
    if size == 1:
        fill(out)
    command = place.begin_run(INCIDENT, "--out", str(out))
    assert command.end() == Exit.UNKNOWN, command.printed
    (said,) = [line for line in command.printed.splitlines() if line.startswith("flashcrowd:")]
    assert "No space left on device" in said and "--out" in said
    assert "seeding" not in command.printed and "recording" not in command.printed, "nothing was started"
    assert list(out.glob("*/20*")) == []
    assert place.left() == []

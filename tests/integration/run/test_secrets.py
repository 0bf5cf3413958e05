"""A password in a DSN is told to nobody: not to a file, not to a terminal, not to a command line that ``ps`` shows."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from harness.errors import Exit
from tests.integration.command import INCIDENTS, Place, locust_processes, until

SECRET = "Rumpelstilzchen-7"
LOCUST = (str(Path(sys.executable).with_name("locust")),)


def files_with_it(folder: Path) -> list[str]:
    """Files in which it stands, sockets and the like left out."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [str(path.relative_to(folder)) for path in files if SECRET.encode() in path.read_bytes()]


def test_a_run_tells_nobody_of_a_password_in_its_environment(place: Place) -> None:
    dsn = f"postgresql://app:{SECRET}@db.example/crowd"
    command = place.begin_run("one-statement", "--duration", "60s", FLASHCROWD_DSN=dsn, PGPASSWORD=SECRET)
    place.await_load("one-statement", "before", rows=100)
    running = place.processes()
    assert len(running) > 5
    assert not [line for line in place.command_lines() if SECRET in line]
    command.signal(signal.SIGINT)
    assert command.end() == Exit.INTERRUPTED, command.printed
    assert files_with_it(place.folder) == []


@pytest.mark.parametrize("processes", [1, 2], ids=["one process", "two processes"])
def test_nor_does_locust_by_itself(place: Place, processes: int) -> None:
    server = place.begin("up", "small-burst", "--scale", "0.02")
    dsn = server.await_text(r"FLASHCROWD_DSN=(\S+)")[1].replace("//app@", f"//app:{SECRET}@")
    arguments = ("-f", str(INCIDENTS / "small_burst" / "users.py"), "--headless", "-u", "2", "-r", "2", "-t", "60s")
    arguments += locust_processes(processes) if processes > 1 else ()
    command = place.begin(*arguments, program=LOCUST, FLASHCROWD_DSN=dsn)
    command.await_text(r"craft +\d+ +[1-9]")  # deadlocks: drivers' messages are told
    assert psutil.Process(command.pid).environ()["FLASHCROWD_DSN"] == dsn
    assert not [line for line in place.command_lines() if SECRET in line]
    # a server that goes away makes drivers talk most
    (postmaster,) = place.postmasters()
    os.kill(postmaster.pid, signal.SIGKILL)
    command.await_text(r"connection_(lost|refused)|cut_off|0 +0\(0.00%\)", limit_s=60)
    command.signal(signal.SIGTERM)
    command.end()
    server.signal(signal.SIGTERM)
    server.end()
    assert files_with_it(place.folder) == []
    until(lambda: place.left() == [], "all to be gone")


def test_nor_does_locust_when_it_cannot_connect(place: Place) -> None:
    dsn = f"postgresql://app:{SECRET}@127.0.0.1:1/crowd"
    arguments = ("-f", str(INCIDENTS / "one_statement" / "users.py"), "--headless", "-u", "1", "-t", "60s")
    command = place.begin(*arguments, program=LOCUST, FLASHCROWD_DSN=dsn)
    command.await_text(r"ask +\d+ +[1-9]")
    command.signal(signal.SIGTERM)
    assert command.end() == 1, "requests failed"
    assert "connection_refused" in command.printed
    assert files_with_it(place.folder) == []
    assert place.left() == []

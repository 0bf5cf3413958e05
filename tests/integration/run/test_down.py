"""``flashcrowd up --detach`` and ``flashcrowd down``: stacks in the background, each found by its record."""

from __future__ import annotations

import re
import signal

import psutil
import psycopg

from harness.errors import Exit
from tests.integration.command import SCALE, Command, Place, command_line, until

DSN = r"(?m)^FLASHCROWD_DSN=(\S+)$"


def detach(place: Place, incident: str = "small-burst") -> tuple[str, str]:
    """Bring one up in the background; its name and its DSN."""
    command = place.run("up", incident, "--scale", SCALE, "--detach")
    assert command.process.returncode == Exit.FINE, command.printed
    name = re.search(r"flashcrowd down (\S+)`", command.printed)
    dsn = re.search(DSN, command.printed)
    assert name and dsn, command.printed
    return name[1], dsn[1]


def answers(dsn: str) -> bool:
    """Whether a server takes connections there."""
    try:
        with psycopg.connect(dsn, connect_timeout=5) as connection:
            return connection.execute("SELECT count(*) > 0 FROM items").fetchone() == (True,)
    except psycopg.OperationalError:
        return False


def nothing_left(place: Place) -> bool:
    """No process, no server's folder, no record."""
    return place.left() == [] and [*place.folder.glob("flashcrowd-*/up/*")] == []


def test_two_at_once_are_told_apart_by_name(place: Place) -> None:
    first, first_dsn = detach(place)
    second, second_dsn = detach(place)
    assert (first, second) == ("small-burst", "small-burst-2")
    assert first_dsn != second_dsn and answers(first_dsn) and answers(second_dsn)
    unclear = place.run("down")
    assert unclear.process.returncode == Exit.USAGE
    assert "small-burst, small-burst-2 are up: name one, or --all" in unclear.printed
    down = place.run("down", "small-burst")
    assert (down.process.returncode, down.printed.strip()) == (Exit.FINE, "small-burst is down")
    assert not answers(first_dsn) and answers(second_dsn)
    assert len(place.postmasters()) == 1
    assert place.run("down", "--all").printed.strip() == "small-burst-2 is down"
    assert nothing_left(place)
    assert place.run("down").printed.strip() == "nothing is up"


def test_one_in_the_foreground_is_ended_as_well(place: Place) -> None:
    up = place.begin("up", "small-burst", "--scale", SCALE, "--stack", "embedded")
    up.await_text("up until Ctrl-C, or `flashcrowd down small-burst`")
    psql = re.search(r"(?m)^psql '(\S+)'  # postgres$", up.printed)
    assert psql and answers(psql[1]), up.printed
    assert place.run("down").process.returncode == Exit.FINE
    assert up.end() == Exit.FINE
    assert nothing_left(place)


def test_a_killed_keeper_is_forgotten_and_swept(place: Place) -> None:
    _, dsn = detach(place)
    (keeper,) = [one for one in place.processes() if "--name" in command_line(one)]
    keeper.send_signal(signal.SIGKILL)
    until(lambda: not psutil.pid_exists(keeper.pid), "the keeper to be gone")
    assert place.run("down").printed.strip() == "nothing is up"
    assert place.run("gc").process.returncode == Exit.FINE
    assert not answers(dsn)
    assert nothing_left(place)


def test_a_server_that_dies_ends_it(place: Place) -> None:
    up: Command = place.begin("up", "small-burst", "--scale", SCALE)
    up.await_text("up until")
    (postmaster,) = place.postmasters()
    postmaster.send_signal(signal.SIGKILL)
    assert up.end() == Exit.STACK
    assert "was killed by SIGKILL" in up.printed
    assert nothing_left(place)


def test_one_that_does_not_come_up_says_why(place: Place) -> None:
    command = place.run("up", "small-burst", "--detach", FLASHCROWD_PG_BIN="/none")
    assert command.process.returncode == Exit.STACK
    assert "FLASHCROWD_PG_BIN=/none" in command.printed
    assert nothing_left(place)

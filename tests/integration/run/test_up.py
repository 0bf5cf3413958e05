"""``flashcrowd up``: a seeded server at the address that it prints, until it is told to stop."""

from __future__ import annotations

import signal
import socket
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from harness.errors import Exit
from tests.integration.command import SCALE, Command, Place

BOTH = [signal.SIGINT, signal.SIGTERM]


def begin_up(place: Place) -> Command:
    """Begin it on the small dataset."""
    return place.begin("up", "small-burst", "--scale", SCALE)


def listens(port: int) -> bool:
    """Whether something takes connections at that port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("number", BOTH, ids=lambda number: number.name)
def test_its_address_works_until_it_is_told_to_stop(number: signal.Signals, place: Place) -> None:
    command = begin_up(place)
    dsn = command.await_text(r"(?m)^FLASHCROWD_DSN=(\S+)$")[1]
    port = urlsplit(dsn).port
    assert port is not None
    command.await_text("up until Ctrl-C")
    (postmaster,) = place.postmasters()
    assert listens(port)
    assert len(place.instances()) == 1
    with psycopg.connect(dsn, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM items").fetchone() == (round(600_000 * float(SCALE)),)
        # the load's role: it may write, and no superuser's connections are its own
        connection.execute("UPDATE items SET burned_by = 1 WHERE item_id = 1")
        assert connection.execute("SELECT usesuper FROM pg_user WHERE usename = current_user").fetchone() == (False,)
        # what the incident asks of the server, it has
        assert connection.execute("SHOW deadlock_timeout").fetchone() == ("100ms",)
        # a session in the middle of something is no reason to stay
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE items")
        command.signal(number)
        assert command.end() == Exit.FINE, command.printed
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert "Traceback" not in command.printed
    assert not psutil.pid_exists(postmaster.pid)
    assert not listens(port)
    assert place.left() == []


@pytest.mark.parametrize("number", BOTH, ids=lambda number: number.name)
def test_it_can_be_told_to_stop_while_it_comes_up(number: signal.Signals, place: Place) -> None:
    place.environment["FLASHCROWD_CACHE"] = str(
        place.folder / "cache"
    )  # an empty one, so that there is a dataset to seed
    command = begin_up(place)
    command.await_text("seeding")
    command.signal(number)
    assert command.end() == Exit.INTERRUPTED, command.printed
    assert "FLASHCROWD_DSN" not in command.printed
    assert "Traceback" not in command.printed
    assert place.left() == []
    # what was half seeded is not taken for a dataset
    assert [path.name for path in (place.folder / "cache" / "clusters").iterdir() if path.is_dir()] == []

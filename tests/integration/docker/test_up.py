"""``flashcrowd up`` in containers: how to connect is told, passwords stand in files that only the user may read."""

from __future__ import annotations

import re
import shlex
import signal
import stat
from pathlib import Path

import psycopg
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from pymongo.uri_parser import parse_uri

from harness.errors import Exit
from tests.integration.command import SCALE, Place

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("named")]


def test_passwords_are_in_files_of_ones_own(place: Place) -> None:
    up = place.begin("up", "two-databases", "--scale", SCALE, "--stack", "docker")
    up.await_text("up until Ctrl-C")
    dsn = re.search(r"(?m)^FLASHCROWD_DSN=(\S+)$", up.printed)
    psql = re.search(r"(?m)^PGPASSFILE=(\S+) psql '(\S+)'  # postgres$", up.printed)
    environment = re.search(r"(?m)^set -a; \. (\S+); set \+a", up.printed)
    assert dsn and psql and environment, up.printed
    files = [Path(psql[1]), Path(environment[1])]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    # what is printed connects with the file, and not without
    with psycopg.connect(psql[2], passfile=psql[1]) as connection:
        assert connection.execute("SELECT usesuper FROM pg_user WHERE usename = current_user").fetchone() == (True,)
    with pytest.raises(psycopg.OperationalError, match="password"), psycopg.connect(dsn[1]):
        pass
    (line,) = [one for one in files[1].read_text().splitlines() if one.startswith("FLASHCROWD_DSN=")]
    (whole,) = shlex.split(line.partition("=")[2])
    with psycopg.connect(whole) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM items").fetchone() == (True,)
    mongosh = re.search(r"(?m)^mongosh '(\S+)' --username (\S+)  # crowd, the whole set$", up.printed)
    assert mongosh, up.printed
    with pytest.raises(OperationFailure, match="requires authentication"), MongoClient(mongosh[1]) as client:
        client.crowd.progress.find_one()
    (line,) = [one for one in files[1].read_text().splitlines() if one.startswith("FLASHCROWD_MONGO=")]
    (whole,) = shlex.split(line.partition("=")[2])
    with MongoClient(whole) as client:
        assert client.admin.command("connectionStatus")["authInfo"]["authenticatedUsers"][0]["user"] == mongosh[2]
    passwords = {parse_uri(whole)["password"]} | {line.rpartition(":")[2] for line in files[0].read_text().splitlines()}
    assert not [one for one in passwords if one in up.printed]
    up.signal(signal.SIGTERM)
    assert up.end() == Exit.FINE, up.printed
    assert not any(path.exists() for path in files)

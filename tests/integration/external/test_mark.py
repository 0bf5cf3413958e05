"""``flashcrowd mark``: what it says, what it asks, what it writes, and whom it refuses."""

from __future__ import annotations

import os
import pty
from contextlib import suppress

import psycopg
import pytest

from harness.errors import Exit
from tests.integration.command import FLASHCROWD, Place
from tests.integration.external.conftest import SECRET, OwnServer

pytestmark = pytest.mark.server

VARIABLE = "FLASHCROWD_EXTERNAL_POSTGRES"


def is_marked(own: OwnServer, database: str) -> bool:
    """Asked of the server itself."""
    with own.admin(database) as admin:
        row = admin.execute("SELECT to_regclass('flashcrowd.may_be_destroyed') IS NOT NULL").fetchone()
    assert row is not None
    return bool(row[0])


def test_without_a_terminal_and_without_yes_it_refuses(own: OwnServer, place: Place) -> None:
    user = own.make_role()
    database = own.make_database(user)
    command = place.run("mark", **{VARIABLE: own.dsn(user, database)})
    assert command.process.returncode == Exit.USAGE
    assert "no terminal to ask at: say --yes" in command.printed
    # what would happen is told all the same
    assert f"A run on database {database} of this server will" in command.printed
    assert f"{database}_flashcrowd_seed" in command.printed
    assert not is_marked(own, database)
    assert SECRET not in command.printed


def test_marked_and_unmarked(own: OwnServer, place: Place) -> None:
    user = own.make_role()
    database = own.make_database(user)
    place.environment[VARIABLE] = own.dsn(user, database)
    command = place.run("mark", "--yes")
    assert command.process.returncode == Exit.FINE, command.printed
    assert is_marked(own, database)
    with own.admin(database) as admin:
        row = admin.execute("SELECT database_name, cluster, marked_by FROM flashcrowd.may_be_destroyed").fetchone()
        identifier = admin.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
    assert identifier is not None
    assert row == (database, identifier[0], user)
    command = place.run("mark", "--remove")
    assert command.process.returncode == Exit.FINE, command.printed
    assert not is_marked(own, database)
    assert "is not marked" in place.run("mark", "--remove").printed


@pytest.mark.parametrize(("answer", "marked"), [("y", True), ("n", False)])
def test_at_a_terminal_it_asks(own: OwnServer, place: Place, answer: str, marked: bool) -> None:
    user = own.make_role()
    database = own.make_database(user)
    environment = {**os.environ, **place.environment, VARIABLE: own.dsn(user, database)}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(FLASHCROWD[0], [FLASHCROWD[0], "mark"], environment)
    said = b""
    try:
        with suppress(OSError):  # the terminal is gone when its last process has ended
            while chunk := os.read(terminal, 4096):
                if b"[y/N]" in said + chunk and b"[y/N]" not in said:
                    os.write(terminal, answer.encode() + b"\n")
                said += chunk
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == (Exit.FINE if marked else Exit.STACK), said.decode()
    assert is_marked(own, database) is marked


def test_a_database_with_tables_is_not_marked(own: OwnServer, place: Place) -> None:
    user = own.make_role()
    database = own.make_database(user)
    with own.admin(database) as admin:
        admin.execute("CREATE TABLE customers (name text)")
    command = place.run("mark", "--yes", **{VARIABLE: own.dsn(user, database)})
    assert command.process.returncode == Exit.STACK
    assert "holds 1 table that neither the dataset nor flashcrowd made (public.customers)" in command.printed
    assert not is_marked(own, database)


def test_nor_is_one_that_others_depend_on(own: OwnServer, place: Place) -> None:
    command = place.run("mark", "--yes", **{VARIABLE: own.dsn(own.make_role(), "postgres")})
    assert command.process.returncode == Exit.USAGE
    assert "make one for this" in command.printed


def test_a_role_that_may_not_is_told_which_grant(own: OwnServer, place: Place) -> None:
    user = own.make_role()
    database = own.make_database()
    place.environment[VARIABLE] = own.dsn(user, database)
    command = place.run("mark", "--yes")
    assert command.process.returncode == Exit.STACK
    grant = f'GRANT CREATE ON DATABASE "{database}" TO "{user}"'
    assert grant in command.printed
    with own.admin(database) as admin:
        admin.execute(grant.encode())
    assert place.run("mark", "--yes").process.returncode == Exit.FINE


def test_a_wrong_password_is_not_repeated(own: OwnServer, place: Place) -> None:
    user = own.make_role()
    dsn = own.dsn(user, own.make_database(user)).replace("Rumpel", "Pumpel")
    command = place.run("mark", "--yes", **{VARIABLE: dsn})
    assert command.process.returncode == Exit.STACK
    assert "password authentication failed" in command.printed
    assert "Pumpel" not in command.printed and "stilz" not in command.printed


def test_the_server_must_be_who_its_certificate_says(own: OwnServer, place: Place) -> None:
    user = own.make_role()
    database = own.make_database(user)
    dsn = own.dsn(user, database).replace("@127.0.0.1:", "@localhost:")
    command = place.run("mark", "--yes", **{VARIABLE: dsn})
    assert command.process.returncode == Exit.STACK
    assert "does not match host name" in command.printed
    with pytest.raises(psycopg.OperationalError), psycopg.connect(dsn.replace("verify-full", "disable")):
        pass

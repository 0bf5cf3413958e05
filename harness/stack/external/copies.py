"""A seeded copy kept beside the database, from which a reset takes a second: where the role may create databases.

The copy ``<database>_flashcrowd_seed`` is kept between runs. A reset clones it under another name, gives the clone the
database's name in one transaction and drops the old one: there is no moment without a database of that name. What a
database has beside its contents (grants, settings, a comment, a limit of connections) would be lost with that, so one that
has any is reset by seeding anew instead.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress

import psycopg
from psycopg import sql

from harness.errors import StackError
from harness.stack.external.session import session
from harness.stack.postgres.endpoint import Endpoint

MAINTENANCE = "postgres"  # no session may be in a database that is cloned, renamed or dropped
NAME_BYTES = 63

_WHY_NOT = """
SELECT CASE
    WHEN NOT (SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user)
        THEN format('role %I may not create databases (ALTER ROLE %I CREATEDB would let it)', current_user, current_user)
    WHEN NOT pg_has_role(d.datdba, 'USAGE') THEN format('role %I does not own it', current_user)
    WHEN d.datacl IS NOT NULL THEN 'it has grants of its own, which a copy would lack'
    WHEN d.datconnlimit <> -1 THEN 'it has a limit of connections, which a copy would lack'
    WHEN EXISTS (SELECT FROM pg_db_role_setting WHERE setdatabase = d.oid) THEN 'it has settings of its own, which a copy would lack'
    WHEN shobj_description(d.oid, 'pg_database') IS NOT NULL THEN 'it has a comment, which a copy would lack'
    WHEN EXISTS (SELECT FROM pg_replication_slots WHERE database = d.datname) THEN 'a replication slot belongs to it'
    WHEN EXISTS (SELECT FROM pg_publication) THEN 'it has publications'
END FROM pg_database AS d WHERE datname = current_database()
"""


class Copies:
    """The seeded copy of one endpoint's database."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.name = beside(endpoint.database, "seed")
        self._next, self._last = beside(endpoint.database, "next"), beside(endpoint.database, "last")

    def why_not(self, connection: psycopg.Connection) -> str | None:
        """Why the database cannot be reset from a copy; None if it can."""
        row = connection.execute(_WHY_NOT.encode()).fetchone()
        assert row is not None  # the session is in that database
        if row[0] is not None:
            return str(row[0])
        try:
            with session(self._endpoint, database=MAINTENANCE):
                return None
        except StackError:
            return f"the role cannot connect to database {MAINTENANCE}, from which it would be copied"

    def key(self) -> str | None:
        """The recipe of the copy that is there; None: there is none."""
        with session(self._endpoint, database=MAINTENANCE) as admin:
            row = admin.execute(
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [self.name]
            ).fetchone()
        return None if row is None else row[0]

    def make(self, key: str) -> None:
        """Copy the database, seeded just now, in place of the copy that is there.

        :raises StackError: the server does not do it
        """
        with session(self._endpoint, database=MAINTENANCE) as admin:
            try:
                self._drop(admin, self.name)
                self._end_sessions(admin)
                _do(admin, "CREATE DATABASE {} TEMPLATE {}", self.name, self._endpoint.database)
                _do(admin, "ALTER DATABASE {} ALLOW_CONNECTIONS false", self.name)
                # Last: a copy without it is not whole.
                admin.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(self.name), key))
            except psycopg.Error as error:
                raise self._failed("copied", error) from error

    def put_back(self) -> None:
        """Put a clone of the copy in the database's place; sessions in it are ended.

        :raises StackError: the server does not do it
        """
        database = self._endpoint.database
        with session(self._endpoint, database=MAINTENANCE) as admin:
            try:
                self.sweep(admin)
                # The server's own way of copying: FILE_COPY would ask for a checkpoint, which others on this server feel.
                _do(admin, "CREATE DATABASE {} TEMPLATE {}", self._next, self.name)
                self._end_sessions(admin)
                with admin.transaction():
                    _do(admin, "ALTER DATABASE {} RENAME TO {}", database, self._last)
                    _do(admin, "ALTER DATABASE {} RENAME TO {}", self._next, database)
                self._drop(admin, self._last)
            except psycopg.Error as error:
                raise self._failed("reset", error) from error

    def sweep(self, admin: psycopg.Connection) -> None:
        """Drop what a killed reset left."""
        for name in (self._next, self._last):
            self._drop(admin, name)

    def remove(self) -> list[str]:
        """Drop the copy and what killed resets left; the names of what was there."""
        with session(self._endpoint, database=MAINTENANCE) as admin:
            try:
                return [name for name in (self.name, self._next, self._last) if self._drop(admin, name)]
            except psycopg.Error as error:
                raise self._failed("removed", error) from error

    def _drop(self, admin: psycopg.Connection, name: str) -> bool:
        there = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None
        if there:
            _do(admin, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
        return there

    def _end_sessions(self, admin: psycopg.Connection) -> None:
        for (pid,) in admin.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()", [self._endpoint.database]
        ).fetchall():
            # Somebody's whom we may not end shows as a refusal to rename, which names the reason.
            with suppress(psycopg.errors.InsufficientPrivilege):
                # Waits until it is gone.
                admin.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])

    def _failed(self, done: str, error: psycopg.Error) -> StackError:
        hint = ""
        if isinstance(error, psycopg.errors.ObjectInUse):
            hint = (
                "; sessions of other roles are in it, which the role may not end: GRANT pg_signal_backend, or end them"
            )
        return StackError(
            f"database {self._endpoint.database} could not be {done}: {' '.join(str(error).split())}{hint}"
        )


def beside(database: str, what: str) -> str:
    """Name of a database of ours beside the user's, short enough for the server.

    >>> beside("shop", "seed")
    'shop_flashcrowd_seed'
    >>> len(beside("s" * 63, "seed"))
    63
    """
    suffix = f"_flashcrowd_{what}"
    room = NAME_BYTES - len(suffix)
    if len(database.encode()) <= room:
        return database + suffix
    told = hashlib.sha256(database.encode()).hexdigest()[:8]
    return database.encode()[: room - len(told)].decode(errors="ignore") + told + suffix


def _do(admin: psycopg.Connection, statement: str, *names: str) -> None:
    admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

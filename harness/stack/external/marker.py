"""The marker that says: this database may be loaded and destroyed. Without it, nothing of ours runs on a database.

It is a table in a schema of our own and names the database and the cluster that it was written for: a dump restored
elsewhere, under another name or on another server, is not marked by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from harness.errors import StackError

SCHEMA = "flashcrowd"
TABLE = f"{SCHEMA}.may_be_destroyed"
#: Databases that come with a server: others depend on them.
NEVER = ("postgres", "template0", "template1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """What stands in the table.

    :param cluster: the server's own identifier; None where it does not tell
    """

    database: str
    cluster: str | None


def cluster_of(connection: psycopg.Connection) -> str | None:
    """The identifier that initdb gave the server's cluster; None where the role may not ask."""
    try:
        row = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFunction):
        return None
    return None if row is None else str(row[0])


def read(connection: psycopg.Connection) -> Marker | None:
    """The marker of the session's database; None: there is none."""
    try:
        row = connection.execute(f"SELECT database_name, cluster FROM {TABLE}".encode()).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return None
    except psycopg.errors.InsufficientPrivilege as error:
        raise StackError(
            f"the marker cannot be read: {error.diag.message_primary}; it belongs to another role: let that role run, "
            f"or let it remove the marker (`flashcrowd mark --remove`) and mark the database again"
        ) from error
    return None if row is None else Marker(database=row[0], cluster=row[1])


def check(connection: psycopg.Connection, where: str) -> None:
    """Refuse a database that is not marked.

    :param where: the address, for the message
    :raises StackError: no marker, or that of another database
    """
    found = read(connection)
    if found is None:
        raise StackError(
            f"{where} is not marked: a run loads it, drops what is in it and fills it anew. "
            "If nothing in it is needed any more, mark it first: flashcrowd mark"
        )
    database = connection.info.dbname
    if found.database != database:
        raise StackError(
            f"{where} holds the marker of a database named {found.database!r}: it looks like a copy of it, which nobody "
            "has marked. If it may be destroyed: flashcrowd mark"
        )
    cluster = cluster_of(connection)
    if found.cluster is not None and cluster is not None and found.cluster != cluster:
        raise StackError(
            f"{where} holds a marker that was written on another server: it looks like a copy, which nobody has marked. "
            "If it may be destroyed: flashcrowd mark"
        )


def write(connection: psycopg.Connection) -> None:
    """Mark the session's database; a marker that is there is written anew.

    :raises StackError: the role may not
    """
    try:
        with connection.transaction():
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}".encode())
            connection.execute(
                f"""CREATE TABLE IF NOT EXISTS {TABLE} (
                    database_name text NOT NULL, cluster text, marked_at timestamptz NOT NULL DEFAULT now(),
                    marked_by text NOT NULL DEFAULT current_user
                )""".encode()
            )
            connection.execute(
                f"COMMENT ON TABLE {TABLE} IS 'Written by `flashcrowd mark`: this database may be loaded and destroyed.'".encode()
            )
            connection.execute(f"DELETE FROM {TABLE}".encode())
            connection.execute(
                f"INSERT INTO {TABLE} (database_name, cluster) VALUES (current_database(), %s)".encode(),
                [cluster_of(connection)],
            )
    except psycopg.errors.InsufficientPrivilege as error:
        raise StackError(
            f"the marker cannot be written: {error.diag.message_primary}; somebody who may: "
            f"GRANT CREATE ON DATABASE {_quoted(connection.info.dbname)} TO {_quoted(connection.info.user)}"
        ) from error


def remove(connection: psycopg.Connection) -> bool:
    """Remove the marker with our whole schema; whether there was one.

    :raises StackError: the role may not
    """
    found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [SCHEMA]).fetchone() is not None
    try:
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE".encode())
    except psycopg.errors.InsufficientPrivilege as error:
        raise StackError(
            f"the marker cannot be removed: {error.diag.message_primary}; the role that wrote it may: "
            f"DROP SCHEMA {SCHEMA} CASCADE"
        ) from error
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

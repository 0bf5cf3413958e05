"""Seeding a database that is not ours to drop: in one transaction, with a record of what was made.

Whatever ends it half-way leaves the database as it was. The record, in our own schema, is what the next seeding drops
first, and what tells the dataset's tables from somebody's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psycopg

from harness.errors import StackError
from harness.stack.external.marker import SCHEMA
from harness.stack.external.objects import Object, drop, held, read, write
from harness.stack.external.session import one
from harness.stack.recipe import Recipe

#: To be raised whenever this module puts something else into a database.
MADE_WITH = {"external": 1}
LOCK_S = 30  # for the tables to be dropped; sessions that may be ended have been
SEEDED = f"{SCHEMA}.seeded"
RECIPES = f"{SCHEMA}.recipe"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseRecipe(Recipe):
    """What the data in a database of one's own is made of; which server holds it makes no difference."""

    def made_with(self) -> Mapping[str, object]:
        """Our seeding."""
        return MADE_WITH


def recorded(connection: psycopg.Connection) -> frozenset[Object]:
    """What our last seeding and the run on it made; nothing where there was none."""
    return read(connection, SEEDED) or frozenset()


def record(connection: psycopg.Connection, made: frozenset[Object]) -> None:
    """Have it on record as ours."""
    write(connection, SEEDED, made)


def untouched(connection: psycopg.Connection, key: str) -> bool:
    """Whether the data is as it was seeded by that recipe: no transaction of this server has written since.

    A server on which anybody writes anything is not taken for untouched: that costs a seeding, no more.
    """
    try:
        row = connection.execute(
            f"SELECT key = %s AND next_xid = pg_snapshot_xmax(pg_current_snapshot())::text FROM {RECIPES}".encode(),
            [key],
        ).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return False
    return row is not None and bool(row[0])


def discount_own_write(connection: psycopg.Connection) -> None:
    """Let data that was untouched before the session's transaction be so after it: it wrote into our own tables only."""
    if one(connection, "SELECT to_regclass(%s) IS NOT NULL", RECIPES) == (True,):
        connection.execute(
            f"UPDATE {RECIPES} SET next_xid = (pg_current_xact_id()::text::bigint + 1)::text"
            " WHERE next_xid = pg_current_xact_id()::text".encode()
        )


def seed(connection: psycopg.Connection, recipe: DatabaseRecipe, doomed: frozenset[Object], say: Say) -> None:
    """Drop ``doomed``, seed, and record what was made.

    :raises StackError: the role lacks a privilege, somebody holds a lock, or the seeding failed
    """
    begun = time.monotonic()
    where = f"{connection.info.dbname} at {connection.info.host}:{connection.info.port}"
    connection.autocommit = False
    try:
        connection.execute(f"SET LOCAL lock_timeout = '{LOCK_S}s'".encode())
        connection.execute("SET LOCAL statement_timeout = 0")
        drop(connection, doomed)
        before = held(connection)
        recipe.fixture.seed(connection, recipe.scale, recipe.seed)
        made = held(connection) - before
        record(connection, made)
        connection.execute(f"DROP TABLE IF EXISTS {RECIPES}".encode())
        connection.commit()
        connection.autocommit = True
        _vacuum(connection, made)
        _note_recipe(connection, recipe.digest())
    except psycopg.errors.InsufficientPrivilege as error:
        role, database = connection.info.user, connection.info.dbname
        raise StackError(
            f"{where} cannot be seeded: {error.diag.message_primary}; somebody who may: "
            f'GRANT CREATE ON SCHEMA public TO "{role}" (and GRANT CREATE, TEMPORARY ON DATABASE "{database}" TO "{role}")'
        ) from error
    except psycopg.errors.LockNotAvailable as error:
        raise StackError(
            f"{where} cannot be seeded: another session holds a lock on it for more than {LOCK_S} s ({_others(connection)}); "
            "end it, or let the role end it: GRANT pg_signal_backend"
        ) from error
    except psycopg.Error as error:
        raise StackError(f"seeding {recipe.fixture.module} into {where} failed: {error}") from error
    finally:
        if not connection.closed:
            connection.rollback()
            connection.autocommit = True
    say(f"seeded {recipe.fixture.module} at scale {recipe.scale:g} in {time.monotonic() - begun:.1f} s")


def _note_recipe(connection: psycopg.Connection, key: str) -> None:
    """Last of all, with the number of the next transaction: whoever writes later takes one."""
    connection.execute(f"CREATE TABLE {RECIPES} (key text, next_xid text)".encode())
    with connection.transaction():
        connection.execute(
            f"INSERT INTO {RECIPES} VALUES (%s, (pg_current_xact_id()::text::bigint + 1)::text)".encode(), [key]
        )


def _vacuum(connection: psycopg.Connection, made: frozenset[Object]) -> None:
    tables = sorted(one.identity for one in made if one.kind in ("table", "materialized view"))
    if tables:
        connection.execute("SET statement_timeout = 0")
        connection.execute(f"VACUUM (FREEZE, ANALYZE) {', '.join(tables)}".encode())


def _others(connection: psycopg.Connection) -> str:
    """Sessions in the database that the role could not end."""
    connection.rollback()
    rows = connection.execute(
        "SELECT format('process %s of role %s', pid, usename) FROM pg_stat_activity"
        " WHERE datname = current_database() AND usename <> current_user ORDER BY pid LIMIT 3"
    ).fetchall()
    return "; ".join(row[0] for row in rows) or "it is gone now"

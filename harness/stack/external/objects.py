"""What a database holds, so that what a dataset brought can be told from what was there, and dropped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psycopg

from harness.errors import StackError
from harness.stack.external.marker import SCHEMA

FIRST_OF_USERS = 16384  # oids below are the server's own (FirstNormalObjectId)
NAMED = 5  # that many tell whose they are

#: What is listed: everything that stands by itself. Indexes, row types, identity sequences and the like go with theirs; what
#: an extension brought goes with the extension. Our own schema is not listed.
_OBJECTS = f"""
WITH user_schema AS (
    SELECT oid FROM pg_namespace
    WHERE nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('information_schema', '{SCHEMA}')
), found AS (
    SELECT 'pg_class'::regclass AS classid, oid AS objid, relkind IN ('r', 'p', 'f', 'm', 'v') AS holds FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relnamespace IN (TABLE user_schema)
    UNION ALL
    SELECT 'pg_proc'::regclass, oid, false FROM pg_proc WHERE pronamespace IN (TABLE user_schema)
    UNION ALL
    SELECT 'pg_type'::regclass, t.oid, false FROM pg_type AS t LEFT JOIN pg_class AS c ON c.oid = t.typrelid
    WHERE typnamespace IN (TABLE user_schema) AND typtype IN ('e', 'd', 'r', 'c') AND (c.oid IS NULL OR c.relkind = 'c')
    UNION ALL
    SELECT 'pg_namespace'::regclass, oid, false FROM pg_namespace WHERE oid IN (TABLE user_schema) AND nspname <> 'public'
    UNION ALL
    SELECT 'pg_extension'::regclass, oid, false FROM pg_extension WHERE extname <> 'plpgsql'
    UNION ALL
    SELECT 'pg_collation'::regclass, oid, false FROM pg_collation WHERE collnamespace IN (TABLE user_schema)
    UNION ALL
    SELECT 'pg_operator'::regclass, oid, false FROM pg_operator WHERE oprnamespace IN (TABLE user_schema)
    UNION ALL
    SELECT 'pg_cast'::regclass, oid, false FROM pg_cast WHERE oid >= {FIRST_OF_USERS}
    UNION ALL
    SELECT 'pg_publication'::regclass, oid, false FROM pg_publication
    UNION ALL
    SELECT 'pg_event_trigger'::regclass, oid, false FROM pg_event_trigger
    UNION ALL
    SELECT 'pg_foreign_data_wrapper'::regclass, oid, false FROM pg_foreign_data_wrapper
    UNION ALL
    SELECT 'pg_foreign_server'::regclass, oid, false FROM pg_foreign_server
)
SELECT o.type, o.identity, f.holds
FROM found AS f, pg_identify_object(f.classid, f.objid, 0) AS o
WHERE NOT EXISTS (
    SELECT FROM pg_depend AS d
    WHERE d.classid = f.classid AND d.objid = f.objid AND d.deptype IN ('e', 'i', 'a') AND d.refclassid <> 'pg_namespace'::regclass
)
ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """Something in a database, as ``DROP`` names it.

    :param kind: such as ``table``
    :param identity: its name in full, quoted where need be
    :param holds: whether it is a table or shows one: something whose loss would be somebody's loss
    """

    kind: str
    identity: str
    holds: bool


def held(connection: psycopg.Connection) -> frozenset[Object]:
    """Everything in the session's database but what is ours."""
    rows = connection.execute(_OBJECTS.encode()).fetchall()
    return frozenset(Object(kind=kind, identity=identity, holds=holds) for kind, identity, holds in rows)


def read(connection: psycopg.Connection, table: str) -> frozenset[Object] | None:
    """A list that :func:`write` made; None: there is no such table."""
    try:
        rows = connection.execute(f"SELECT kind, identity, holds FROM {table}".encode()).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return None
    return frozenset(Object(kind=kind, identity=identity, holds=holds) for kind, identity, holds in rows)


def write(connection: psycopg.Connection, table: str, listed: Iterable[Object]) -> None:
    """Keep a list in a table of ours, in place of the one that is there."""
    connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (kind text, identity text, holds boolean)".encode())
    connection.execute(f"DELETE FROM {table}".encode())
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {table} VALUES (%s, %s, %s)".encode(),
            [(one.kind, one.identity, one.holds) for one in listed],
        )


def refuse_foreign(found: Iterable[Object], recorded: Iterable[Object], where: str) -> None:
    """Refuse a database with tables that neither a seeding of ours nor a run made.

    :param recorded: what they made
    :raises StackError: there are such tables
    """
    ours = {(one.kind, one.identity) for one in recorded}
    foreign = sorted(one.identity for one in found if one.holds and (one.kind, one.identity) not in ours)
    if foreign:
        raise StackError(
            f"{where} holds {len(foreign)} table{'s' if len(foreign) > 1 else ''} that neither the dataset nor flashcrowd made "
            f"({named(foreign)}): name a database that is there for nothing else, or drop them yourself if they are not needed"
        )


def named(identities: Iterable[str]) -> str:
    """The first ones, and how many there are besides.

    >>> named(["b", "a"])
    'a, b'
    >>> named("abcdefg")
    'a, b, c, d, e and 2 more'
    """
    listed = sorted(identities)
    return ", ".join(listed[:NAMED]) + (f" and {len(listed) - NAMED} more" if len(listed) > NAMED else "")


def drop(connection: psycopg.Connection, doomed: Iterable[Object]) -> None:
    """Drop objects with what depends on them; what is gone already is no error."""
    for one in sorted(doomed, key=lambda one: (one.kind, one.identity)):
        kind = one.kind.upper().replace("-", " ")  # a "foreign-data wrapper"
        connection.execute(f"DROP {kind} IF EXISTS {one.identity} CASCADE".encode())

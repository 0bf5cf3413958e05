"""Seeding a PostgreSQL: the same statements for every provider that has a server of its own.

The dataset is seeded into a template database, and the database that the load uses is a copy of it: a reset is one more
copy, which takes a fraction of the seeding.
"""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from psycopg import sql

from harness.dataset import Fixture
from harness.errors import StackError

#: To be raised whenever this module puts something else into a cluster.
MADE_WITH = {"recipe": 2}
DATABASE = "crowd"
TEMPLATE = "crowd_template"
APPLICATION_USER = "app"
SUPERUSER = "postgres"
RESET_S = 60.0

#: Speed without durability: what is built with these counts only once it is stopped cleanly, copied and checksummed.
BUILD_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "maintenance_work_mem": "256MB",
}

#: Gives a new autocommit session of the superuser at a database.
Connect = Callable[[str], psycopg.Connection]


def seed_cluster(connect: Connect, fixture: Fixture, *, scale: float, seed: int, last_lines: Callable[[], str]) -> None:
    """Make roles, template and database on a fresh cluster.

    :param last_lines: what the server said last, for the error
    :raises StackError: the dataset's seeding failed
    """
    try:
        with connect("postgres") as admin:
            _add_statements(admin)
            admin.execute(f"CREATE ROLE {APPLICATION_USER} LOGIN IN ROLE pg_read_all_data, pg_write_all_data")
            admin.execute(f"CREATE DATABASE {TEMPLATE}")
        with connect(TEMPLATE) as connection:
            _add_statements(connection)
            connection.autocommit = False
            fixture.seed(connection, scale, seed)
            connection.commit()
            connection.autocommit = True
            connection.execute("VACUUM (FREEZE, ANALYZE)")
        with connect("postgres") as admin:
            admin.execute(f"ALTER DATABASE {TEMPLATE} IS_TEMPLATE true ALLOW_CONNECTIONS false")
            copy_database(admin)
            admin.execute("CHECKPOINT")
    except psycopg.Error as error:
        raise StackError(
            f"seeding {fixture.module} failed: {error}\nthe server's last lines:\n{last_lines()}"
        ) from error


def reset_database(admin: psycopg.Connection) -> None:
    """Put the database back to exactly the seeded state; sessions still connected to it are ended."""
    admin.execute(f"SET statement_timeout = {RESET_S * 1000:.0f}".encode())
    admin.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)".encode())
    copy_database(admin)
    forget_statements(admin)


def forget_statements(connection: psycopg.Connection) -> None:
    """Let the statistics of statements begin anew, where there are any."""
    if _has(connection, "SELECT to_regproc('pg_stat_statements_reset') IS NOT NULL"):
        connection.execute("SELECT pg_stat_statements_reset()")


def copy_database(admin: psycopg.Connection) -> None:
    """Make the database ``crowd`` from its template; ``admin`` must be connected to another one."""
    # Copying files beats logging every page by far at this size. Before 15 there is no other way, nor a word for it.
    strategy = sql.SQL("STRATEGY FILE_COPY" if admin.info.server_version >= 150000 else "")
    admin.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {} {}").format(
            sql.Identifier(DATABASE), sql.Identifier(TEMPLATE), strategy
        )
    )


def has_statements(connection: psycopg.Connection) -> bool:
    """Whether the server came with pg_stat_statements: builds without it leave out all of contrib."""
    return _has(connection, "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements')")


def _add_statements(connection: psycopg.Connection) -> None:
    if has_statements(connection):
        connection.execute("CREATE EXTENSION pg_stat_statements")


def _has(connection: psycopg.Connection, question: str) -> bool:
    row = connection.execute(question.encode()).fetchone()
    return row is not None and bool(row[0])

"""What the role may not do on a server that is not ours, what that costs the figures, and which GRANT would change it."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from harness.errors import StackError
from harness.stack.external.session import one

EXTENSION = "pg_stat_statements"
_SET_GRANTS_SINCE = 150000


def check(connection: psycopg.Connection, where: str) -> None:
    """Refuse a role that cannot seed or check the data.

    :raises StackError: names the GRANTs
    """
    schema, creates, temporary, user, database = one(
        connection,
        "SELECT quote_ident(current_schema()), has_schema_privilege(current_schema(), 'CREATE'),"
        " has_database_privilege(current_database(), 'TEMPORARY'), quote_ident(current_user), quote_ident(current_database())",
    )
    missing = []
    if schema is None:
        missing.append(
            f"CREATE SCHEMA public (its search_path names none that exists), GRANT CREATE ON SCHEMA public TO {user}"
        )
    elif not creates:
        missing.append(f"GRANT CREATE ON SCHEMA {schema} TO {user}, for the dataset's tables")
    if not temporary:
        missing.append(f"GRANT TEMPORARY ON DATABASE {database} TO {user}, for checking the data after a run")
    if missing:
        raise StackError(f"{where}: the role lacks privileges; somebody who may has to run: {'; '.join(missing)}")


def prepare_statements(connection: psycopg.Connection) -> str | None:
    """Have pg_stat_statements in the database if that can be had; a note where it is not to be had."""
    (preloaded,) = one(connection, "SELECT count(*) > 0 FROM pg_available_extensions WHERE name = %s", EXTENSION)
    if not preloaded:
        return f"{EXTENSION} is not installed on this server: what statements cost is not measured"
    try:
        with connection.transaction():
            connection.execute(f"CREATE EXTENSION IF NOT EXISTS {EXTENSION}".encode())
    except psycopg.errors.InsufficientPrivilege:
        return (
            f"what statements cost is not measured: the role may not create the extension; somebody who may, in database "
            f"{connection.info.dbname}: CREATE EXTENSION {EXTENSION}"
        )
    try:
        connection.execute(f"SELECT FROM {EXTENSION} LIMIT 1".encode())
    except psycopg.errors.ObjectNotInPrerequisiteState:
        return (
            f"what statements cost is not measured: {EXTENSION} is not loaded; it has to stand in shared_preload_libraries, "
            "and the server to be started again"
        )
    except psycopg.Error as error:
        return f"what statements cost is not measured: {error.diag.message_primary or error}"
    return None


def reset_statements(connection: psycopg.Connection) -> None:
    """Let the statistics of statements begin anew where that may be done; elsewhere what counts is the difference."""
    try:
        connection.execute("SELECT pg_stat_statements_reset()")
    except psycopg.Error:
        return


def notes(connection: psycopg.Connection) -> list[str]:
    """What is measured less well here, and why."""
    found = []
    row = one(
        connection,
        "SELECT quote_ident(current_user), (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),"
        " pg_has_role('pg_read_all_stats', 'USAGE'), pg_has_role('pg_signal_backend', 'USAGE'),"
        " current_setting('track_io_timing')::boolean, to_regprocedure('pg_stat_statements_reset(oid,oid,bigint)') IS NOT NULL"
        " OR to_regprocedure('pg_stat_statements_reset(oid,oid,bigint,boolean)') IS NOT NULL",
    )
    user, superuser, reads_all, signals, times_io, has_statements = row
    if superuser:
        found.append(
            f"role {user} is a superuser: the load may use connections reserved for superusers, which an application could not"
        )
    if not reads_all:
        found.append(
            f"role {user} does not see what sessions of other roles do (state, wait, statement): only its own are told "
            f"apart; GRANT pg_monitor TO {user}"
        )
    if not signals:
        found.append(
            f"role {user} cannot end sessions of other roles before a reset, which waits for them instead; "
            f"GRANT pg_signal_backend TO {user}"
        )
    if not times_io:
        found.append("track_io_timing is off here: how long reading and writing blocks took is not measured")
    if has_statements and not superuser:
        if not _may_reset(connection):
            found.append(
                f"role {user} may not reset pg_stat_statements: costs are the difference over the run, lower bounds where "
                f"the table was full; GRANT EXECUTE ON FUNCTION pg_stat_statements_reset TO {user}"
            )
        if not _may_set(connection):
            found.append(
                f"the probes' own statements stand among the costs; GRANT SET ON PARAMETER pg_stat_statements.track TO {user}"
                if connection.info.server_version >= _SET_GRANTS_SINCE
                else "the probes' own statements stand among the costs: only a superuser can leave them out before PostgreSQL 15"
            )
    return found


def differing(connection: psycopg.Connection, asked: Mapping[str, str]) -> list[str]:
    """A note for each setting that the incident asks for and this server has otherwise: it is not changed."""
    found = []
    for name, value in asked.items():
        row = connection.execute(
            "SELECT current_setting(%s, true), unit, vartype FROM pg_settings WHERE name = lower(%s)", [name, name]
        ).fetchone()
        if row is None:
            found.append(f"the incident asks for {name} = {value}, which this server does not know")
        elif not same(connection, value, row[0], row[1], row[2]):
            found.append(f"the incident asks for {name} = {value}; this server has {row[0]}")
    return found


def same(connection: psycopg.Connection, asked: str, found: str, unit: str | None, kind: str) -> bool:
    """Whether two ways to write a setting mean the same."""
    if asked.strip().lower() == found.strip().lower():
        return True
    casts = {"bool": "boolean"} | ({} if unit else {"integer": "float8", "real": "float8"})
    query = None
    if unit is not None and unit.endswith("B"):
        query = "SELECT pg_size_bytes(%s) = pg_size_bytes(%s)"
    elif unit is not None:
        query = "SELECT %s::interval = %s::interval"
    elif kind in casts:
        query = f"SELECT %s::text::{casts[kind]} = %s::text::{casts[kind]}"
    if query is None:
        return False
    try:
        with connection.transaction():
            row = connection.execute(query.encode(), [asked, found]).fetchone()
    except psycopg.Error:  # not a value of that kind: the server would refuse it as well
        return False
    return row is not None and bool(row[0])


def _may_reset(connection: psycopg.Connection) -> bool:
    (may,) = one(
        connection,
        "SELECT coalesce(bool_or(has_function_privilege(oid, 'EXECUTE')), false) FROM pg_proc WHERE proname = 'pg_stat_statements_reset'",
    )
    return bool(may)


def _may_set(connection: psycopg.Connection) -> bool:
    if connection.info.server_version < _SET_GRANTS_SINCE:
        return False
    (may,) = one(connection, "SELECT has_parameter_privilege('pg_stat_statements.track', 'SET')")
    return bool(may)

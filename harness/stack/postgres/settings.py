"""The settings of a PostgreSQL of ours: what measuring needs, what the incident asks for, and what it may not ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import psycopg

from harness.errors import DefinitionError, StackError

#: Settings that the harness needs for itself: where the server is, and where and how it writes its log.
RESERVED = (
    "config_file",
    "data_directory",
    "external_pid_file",
    "hba_file",
    "hot_standby",
    "ident_file",
    "listen_addresses",
    "log_destination",
    "log_directory",
    "log_file_mode",
    "log_filename",
    "log_line_prefix",
    "log_rotation_age",
    "log_rotation_size",
    "log_timezone",
    "logging_collector",
    "port",
    "primary_conninfo",
    "primary_slot_name",
    "unix_socket_directories",
)
PRELOADED = "pg_stat_statements"
JSONLOG_SINCE = 15
#: What a reader of the figures is told of a build that lacks it.
NO_STATEMENTS = "this build of PostgreSQL is without pg_stat_statements: what statements cost is not measured"


def check_settings(settings: Mapping[str, str], *, field: str = "settings") -> None:
    """Refuse what the harness needs for itself.

    :param field: of ``topology.postgres``, which has them

    :raises DefinitionError: such a setting is asked for
    """
    for name, value in settings.items():
        if name.lower() in RESERVED:
            raise DefinitionError(
                where="topology.postgres", field=f"{field}[{name!r}]", value=value, expected="left to the harness"
            )


def full_settings(
    asked: Mapping[str, str], *, log_folder: str, has_json: bool, has_statements: bool = True
) -> dict[str, str]:
    """The server's settings: defaults of ours, what the incident asks for, and what measuring cannot do without.

    :param log_folder: where the server writes ``postgres.log`` and, with ``has_json``, ``postgres.json``
    :param has_statements: whether it can load pg_stat_statements
    """
    preload = [name.strip() for name in asked.get("shared_preload_libraries", "").split(",") if name.strip()]
    if has_statements and PRELOADED not in preload:
        preload.append(PRELOADED)
    return {
        **({"pg_stat_statements.track": "all"} if has_statements else {}),
        "track_io_timing": "on",
        "track_activity_query_size": "16kB",
        "timezone": "UTC",
        **asked,
        "shared_preload_libraries": ",".join(preload),
        "logging_collector": "on",
        "log_destination": "stderr,jsonlog" if has_json else "stderr",
        "log_directory": log_folder,
        "log_filename": "postgres.log",  # one file: jsonlog puts postgres.json beside it
        "log_rotation_age": "0",
        "log_rotation_size": "0",
        "log_timezone": "UTC",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a running server says of itself.

    :param version: such as ``18.6``, without what a distribution adds to it
    :param version_num: such as 180006
    """

    version: str
    version_num: int
    max_connections: int

    @classmethod
    def read(cls, connection: psycopg.Connection) -> Self:
        """Ask it."""
        query = "SELECT current_setting('server_version'), current_setting('max_connections')::int"
        row = connection.execute(query).fetchone()
        assert row is not None  # a SELECT without FROM has one row
        return cls(version=row[0].split()[0], version_num=connection.info.server_version, max_connections=row[1])


def settings_in_force(connection: psycopg.Connection) -> dict[str, str]:
    """What is set on a running server otherwise than by default, but for what the harness needs for itself."""
    rows = connection.execute(
        "SELECT name, current_setting(name) FROM pg_settings"
        " WHERE source IN ('configuration file', 'command line') ORDER BY name"
    ).fetchall()
    return {name: value for name, value in rows if name not in RESERVED}


def major_version(said: str) -> int:
    """The major version in what ``postgres --version`` says.

    >>> major_version("postgres (PostgreSQL) 18.6"), major_version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)")
    (18, 15)
    >>> major_version("postgres (PostgreSQL) 19beta1")
    19
    """
    match = re.search(r"\(PostgreSQL\) (\d+)", said)
    if match is None:
        raise StackError(f"{said!r} is not what a postgres says of its version")
    return int(match[1])

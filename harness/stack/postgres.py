"""Where a running PostgreSQL is and what it was given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A running PostgreSQL server and one database of it.

    :param user: the superuser: for probes and administration, it may use the connections reserved for superusers
    :param application_user: an ordinary role that may read and write every table: for the load, whose ceiling is then
        ``max_connections`` minus the reserved ones, as for a real application
    :param version: such as ``18.6``
    :param version_num: such as 180006
    :param cpus: cores it is allotted; its CPU is a share of this
    :param cores: the cores that it is held to; None where this system cannot hold a process to cores
    :param log_folder: holds ``postgres.json`` (jsonlog, from version 15), ``postgres.log`` (text) and ``postmaster.stderr``
    :param notes: what a reader of the figures should know
    """

    host: str
    port: int
    user: str
    application_user: str
    database: str
    version: str
    version_num: int
    postmaster_pid: int
    cpus: int
    cores: tuple[int, ...] | None
    log_folder: Path
    max_connections: int
    notes: tuple[str, ...] = ()

    def dsn(self, *, user: str | None = None, database: str | None = None) -> str:
        """The address as libpq and asyncpg take it; ``user`` and ``database`` other than the endpoint's own if given.

        Encryption is declined at once, so that no client spends a round trip on asking for it over loopback.
        """
        return f"postgresql://{user or self.user}@{self.host}:{self.port}/{database or self.database}?sslmode=disable"

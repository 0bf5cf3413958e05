"""Where a running PostgreSQL is and what it was given."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A running PostgreSQL server and one database of it.

    :param name: the label ``name`` of its samples: ``postgres`` is the primary, ``postgres-replica-1`` a replica
    :param user: the role for probes and administration; on servers of ours the superuser, who may use the connections
        reserved for superusers
    :param application_user: an ordinary role that may read and write every table: for the load, whose ceiling is then
        ``max_connections`` minus the reserved ones, as for a real application
    :param passwords: of roles that need one
    :param options: connection parameters besides host, port, user, password and database, such as those of TLS
    :param version: such as ``18.6``
    :param version_num: such as 180006
    :param cpus: cores it is allotted; its CPU is a share of this; None: not known
    :param cores: the cores that it is held to; None where it is not held to any
    :param log_folder: holds ``postgres.json`` (jsonlog, from version 15) and ``postgres.log`` (text); None where the
        server's log cannot be read
    :param notes: what a reader of the figures should know
    """

    name: str = "postgres"
    host: str
    port: int
    user: str
    application_user: str
    passwords: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    database: str
    options: tuple[tuple[str, str], ...] = field(default=(("sslmode", "disable"),), repr=False)
    version: str
    version_num: int
    postmaster_pid: int | None
    cpus: float | None
    cores: tuple[int, ...] | None
    log_folder: Path | None
    max_connections: int
    notes: tuple[str, ...] = ()

    def dsn(self, *, user: str | None = None, database: str | None = None) -> str:
        """The address as libpq and asyncpg take it; ``user`` and ``database`` other than the endpoint's own if given.

        On servers of ours encryption is declined at once, so that no client spends a round trip on asking for it over
        loopback.
        """
        role = user or self.user
        password = dict(self.passwords).get(role)
        login = quote(role, safe="") + ("" if password is None else f":{quote(password, safe='')}")
        # A host that begins with a slash is the folder of a Unix socket.
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        name = quote(database or self.database, safe="")
        return f"postgresql://{login}@{host}:{self.port}/{name}?{urlencode(self.options, quote_via=quote)}"

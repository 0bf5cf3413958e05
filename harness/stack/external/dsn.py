"""A DSN of PostgreSQL, read as libpq reads it and held to what asyncpg understands as well.

Probes and load connect by asyncpg, seeding and administration by psycopg, which is libpq: a parameter that only one of
them knows would give two kinds of connection. Those of TLS are passed on to both.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

import psycopg
from psycopg.conninfo import conninfo_to_dict

from harness.errors import UsageError

#: What both drivers take from an address, besides where and who.
PASSED_ON = (
    "gsslib",
    "krbsrvname",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "target_session_attrs",
)
#: Secret among these.
SECRET_OPTIONS = ("sslpassword",)
#: What only libpq knows and what does not change who is reached or how it is secured.
LEFT_OUT = (
    "application_name",
    "client_encoding",
    "connect_timeout",
    "fallback_application_name",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "tcp_user_timeout",
)
_PLACE = ("host", "port", "user", "password", "dbname")
DEFAULT_PORT = 5432


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresAddress:
    """One server and database.

    :param password: None: whatever the drivers find, such as PGPASSWORD, ``~/.pgpass`` or a certificate
    :param options: connection parameters that both drivers take
    :param notes: what of the DSN is left out
    """

    host: str
    port: int
    user: str
    password: str | None = field(repr=False)
    database: str
    options: tuple[tuple[str, str], ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The address for people, without secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}:{self.port}/{self.database}"


def parse(text: str, variable: str) -> PostgresAddress:
    """Read a DSN, as a URI or as ``key=value`` pairs.

    :param variable: where it stands, for the message
    :raises UsageError: it cannot be read, lacks something, or holds what one of the drivers does not know
    """
    try:
        found = {key: str(value) for key, value in conninfo_to_dict(text).items() if value is not None}
    except psycopg.Error:
        # libpq's words may quote a piece of the password.
        raise UsageError(
            f"{variable}: cannot be read as a DSN; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, and characters "
            "such as @ : / in user and password percent-encoded"
        ) from None
    for key, example in (("host", "HOST"), ("dbname", "DATABASE"), ("user", "USER")):
        if not found.get(key):
            raise UsageError(
                f"{variable}: names no {example.lower()}; what is to be loaded and destroyed must be named in full: "
                "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
            )
    if "@" in found["host"]:
        raise UsageError(f"{variable}: there are two @ before the host: write one in a password as %40")
    port = found.get("port", str(DEFAULT_PORT))
    if "," in found["host"] or not port.isdigit():
        raise UsageError(f"{variable}: names several servers: name one, replicas have a variable of their own")
    unknown = sorted(found.keys() - {*_PLACE, *PASSED_ON, *LEFT_OUT})
    if unknown:
        raise UsageError(
            f"{variable}: parameter {unknown[0]}: not both of the drivers know it; those of TLS are passed on "
            "(sslmode, sslrootcert, sslcert, sslkey, …), session parameters belong into the incident's application.settings"
        )
    options = {key: found[key] for key in PASSED_ON if key in found}
    if options.get("sslrootcert") == "system":
        options["sslrootcert"] = _system_roots(variable)
    left_out = [key for key in LEFT_OUT if key in found]
    return PostgresAddress(
        host=found["host"],
        port=int(port),
        user=found["user"],
        password=found.get("password"),
        database=found["dbname"],
        options=tuple(options.items()),
        notes=(f"{', '.join(left_out)} of {variable} is left out: not both drivers know it",) if left_out else (),
    )


def _system_roots(variable: str) -> str:
    """The file of the system's certificates: asyncpg would take the word ``system`` for a file's name."""
    path = ssl.get_default_verify_paths().cafile
    if path is None:
        raise UsageError(f"{variable}: sslrootcert=system: no file of the system's certificates was found; name one")
    return path

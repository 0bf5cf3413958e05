"""A connection string of MongoDB, and what of it is passed on to every connection of ours: who we are, and TLS."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from harness.errors import UsageError

#: What of the string is the connection's own; the rest (read preference, write concern, pool sizes, time limits) is the
#: application's, which the incident declares.
_PASSED_ON = ("auth", "tls", "ssl")
_SET_BY_US = ("replicaset", "directconnection")


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoAddress:
    """A replica set, as far as the string tells.

    :param hosts: of some members; the set itself tells the others
    :param options: those of login and TLS
    """

    hosts: tuple[str, ...]
    user: str | None
    password: str | None = field(repr=False)
    database: str
    options: tuple[tuple[str, str], ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The address for people, without secrets."""
        login = "" if self.user is None else f"{self.user}@"
        return f"{login}{','.join(self.hosts)}/{self.database}"


def parse(text: str, variable: str) -> MongoAddress:
    """Read a connection string.

    :param variable: where it stands, for the message
    :raises UsageError: it cannot be read, or names no database
    """
    try:
        found = parse_uri(text, validate=True, warn=False)
        query = urlsplit(text).query
    except OSError as error:  # a certificate that it names
        raise UsageError(f"{variable}: {error.filename} cannot be read: {error.strerror}") from error
    except (PyMongoError, ValueError):
        # PyMongo's words may quote a piece of the password.
        raise UsageError(
            f"{variable}: cannot be read as a connection string; write mongodb://USER:PASSWORD@HOST:PORT/DATABASE, and "
            "characters such as @ : / in user and password percent-encoded"
        ) from None
    if not found["database"]:
        raise UsageError(
            f"{variable}: names no database; what is to be loaded and destroyed must be named in full: "
            "mongodb://USER:PASSWORD@HOST:PORT/DATABASE"
        )
    given = parse_qsl(query)
    options = [(name, value) for name, value in given if name.lower().startswith(_PASSED_ON)]
    if text.startswith("mongodb+srv://"):  # which stands for TLS, and may bring where the user is known
        named = {name.lower() for name, _ in options}
        if not named & {"tls", "ssl"}:
            options.append(("tls", "true"))
        if "authsource" not in named and "authsource" in found["options"]:
            options.append(("authSource", str(found["options"]["authsource"])))
    left_out = sorted(
        name for name, _ in given if not name.lower().startswith(_PASSED_ON) and name.lower() not in _SET_BY_US
    )
    note = f"{', '.join(left_out)} of {variable} is left out: the incident declares how the application uses MongoDB"
    return MongoAddress(
        hosts=tuple(f"{host}:{port}" for host, port in found["nodelist"]),
        user=found["username"],
        password=found["password"],
        database=str(found["database"]),
        options=tuple(options),
        notes=(note,) if left_out else (),
    )

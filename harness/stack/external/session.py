"""Sessions for administration of a server that is not ours, and the privilege that one lacks, by name."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from harness.errors import StackError
from harness.stack.postgres.endpoint import Endpoint

CONNECT_S = 10
APPLICATION_NAME = "flashcrowd-stack"

_LOCK = threading.Lock()
_OPEN: set[psycopg.Connection] = set()


@contextmanager
def session(
    endpoint: Endpoint, *, database: str | None = None, application_name: str = APPLICATION_NAME
) -> Iterator[psycopg.Connection]:
    """An autocommit session of the endpoint's user; closed on every path.

    :raises StackError: the server does not take it
    """
    where = f"{endpoint.user}@{endpoint.host}:{endpoint.port}/{database or endpoint.database}"
    try:
        connection = psycopg.connect(
            endpoint.dsn(database=database),
            autocommit=True,
            application_name=application_name,
            connect_timeout=CONNECT_S,
            client_encoding="utf8",  # a database without an encoding (SQL_ASCII) would give bytes for texts
        )
    except psycopg.OperationalError as error:
        raise StackError(f"{where} cannot be connected to: {' '.join(str(error).split())}") from error
    with _LOCK:
        _OPEN.add(connection)
    try:
        yield connection
    finally:
        with _LOCK:
            _OPEN.discard(connection)
        connection.close()


def cancel_own() -> None:
    """Cancel what this process's sessions are at, so that the thread that waits for them fails."""
    with _LOCK:
        for connection in _OPEN:
            with suppress(psycopg.Error):
                connection.cancel()


def lacking(error: psycopg.Error, grant: str) -> str:
    """What a refusal for want of a privilege says, with what would give it.

    :param grant: the statement that somebody who may has to run
    """
    return f"{error.diag.message_primary or error}; {grant}"


def one(connection: psycopg.Connection, query: str, *parameters: object) -> tuple[object, ...]:
    """The only row of a query."""
    row = connection.execute(query.encode(), parameters or None).fetchone()
    assert row is not None, query
    return tuple(row)

"""Sessions of the superuser at a PostgreSQL in a container, and the wait until it takes them."""

from __future__ import annotations

import time

import psycopg

from harness.errors import StackError
from harness.stack.docker.container import Container
from harness.stack.postgres.seeding import SUPERUSER

PORT = 5432
READY_S = 90.0  # the image's initdb on a slow disk; from the cache it takes a second
_LOOK_AGAIN_S = 0.02
_CONNECT_S = 10


def connect(container: Container, password: str, database: str = "postgres") -> psycopg.Connection:
    """A new autocommit session of the superuser.

    :raises psycopg.OperationalError: the server does not take it
    """
    return psycopg.connect(
        host=container.address,
        port=PORT,
        user=SUPERUSER,
        password=password,
        dbname=database,
        sslmode="disable",
        autocommit=True,
        application_name="flashcrowd-stack",
        connect_timeout=_CONNECT_S,
    )


def await_ready(container: Container, password: str) -> None:
    """Wait until the server takes connections.

    :raises StackError: it ended, or took too long; with its last lines
    """
    begun = time.monotonic()
    while True:
        died = container.how_it_died()
        if died is not None:
            raise StackError(f"PostgreSQL did not come up: {died}\n{_hint(died)}")
        try:
            connect(container, password).close()
            return
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise StackError(f"{container.name} does not know its password: {error}") from error
            waited = time.monotonic() - begun
            if waited > READY_S:
                raise StackError(
                    f"waited {waited:.0f} s for {container.name} to take connections at {container.address}:{PORT} "
                    f"({error}); its last lines:\n{container.last_lines()}\n"
                    "A disk that is very slow or full, or a firewall between this machine and its containers, "
                    "are the usual reasons."
                ) from error
        time.sleep(_LOOK_AGAIN_S)


def _hint(died: str) -> str:
    if "want of memory" in died or "Cannot allocate memory" in died or "shared memory" in died:
        return "Memory is short: raise topology.postgres.memory_bytes, or lower shared_buffers or max_connections."
    if "configuration" in died or "parameter" in died:
        return "The server refused a setting: see topology.postgres.settings of the incident."
    if "No space left" in died:
        return "The disk is full: free some space where the Docker engine keeps its volumes."
    return "Run it with --stack embedded, or another image (FLASHCROWD_POSTGRES_IMAGE), to see whether it is the image."

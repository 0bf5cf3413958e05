"""What came into a database while a run was under way is that run's: the next one knows it from somebody's, and drops it.

While a run is under way a table of ours holds what was there at its beginning and is not ours. At the end what else is there,
such as a table that an application made, joins the record of what a seeding made. A killed run leaves its table behind:
whatever has come since it began is taken for its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from harness.errors import StackError
from harness.stack.external import objects, seeding
from harness.stack.external.marker import SCHEMA
from harness.stack.external.objects import Object
from harness.stack.external.session import session
from harness.stack.postgres.endpoint import Endpoint

FOUND = f"{SCHEMA}.found"


def ours(connection: psycopg.Connection) -> frozenset[Object]:
    """What flashcrowd and what ran with it made, as far as it is still there or was when that was recorded."""
    return seeding.recorded(connection) | left_by_a_killed_run(connection)


def left_by_a_killed_run(connection: psycopg.Connection) -> frozenset[Object]:
    """What came since a run began that did not get to its end and that no seeding recorded; also while one is under way."""
    found = objects.read(connection, FOUND)
    if found is None:
        return frozenset()
    return objects.held(connection) - found - seeding.recorded(connection)


@contextmanager
def watched(endpoint: Endpoint, kept: frozenset[Object]) -> Iterator[None]:
    """Have it on record that a run is under way, and at the end what it leaves.

    :param kept: what is there and not ours
    """
    with session(endpoint) as connection, connection.transaction():
        objects.write(connection, FOUND, kept)
        seeding.discount_own_write(connection)
    try:
        yield
    finally:
        # A server that is gone keeps the word that a run is under way, as after a kill.
        with suppress(StackError, psycopg.Error), session(endpoint) as connection:
            left = objects.held(connection) - kept
            known = seeding.recorded(connection)
            with connection.transaction():
                if left != known:
                    seeding.record(connection, left)
                connection.execute(f"DROP TABLE IF EXISTS {FOUND}".encode())
                seeding.discount_own_write(connection)

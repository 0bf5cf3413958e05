"""A PostgreSQL that we started, as resets and replicas need it of every provider."""

from __future__ import annotations

from typing import Protocol

import psycopg

from harness.stack.logs import Logs
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.stack import Stage


class Node(Protocol):
    """A primary or a replica; the timeline may have done anything to it.

    :ivar down_on_purpose: stopped, killed, paused or cut off by the timeline
    :ivar stages: what its coming up took, for a replica
    """

    name: str
    logs: Logs
    down_on_purpose: bool
    stages: tuple[Stage, ...]

    @property
    def endpoint(self) -> Endpoint:
        """Where it is, at the database that the dataset was seeded into."""

    @property
    def lives(self) -> bool:
        """Whether its main process is there, paused or not."""

    def admin(self) -> psycopg.Connection:
        """A new autocommit session of the superuser at the database ``postgres``.

        :raises psycopg.OperationalError: the server does not take it
        """

    def how_it_died(self) -> str | None:
        """None while it lives or is down on purpose, else how it ended and what it said last."""

    def last_lines(self) -> str:
        """What it said last, indented."""

    def revive(self) -> None:
        """Have it run with what it was given at first, whatever was done to it.

        :raises StackError: it does not come back
        """

    def end_sessions(self) -> None:
        """End the sessions at the load's database without a session of one's own.

        :raises StackError: it does not come back, where that takes a restart
        """

    def discard(self) -> None:
        """End it without regard for what it holds, and remove all that it has; a second call does nothing."""


def make_room(node: Node) -> None:
    """Where superusers filled even the connections that are reserved for them, end the sessions at the load's database: at
    a reset they are to be ended anyway.

    :raises psycopg.OperationalError: it takes no session for another reason
    :raises StackError: it does not come back
    """
    try:
        node.admin().close()
    except psycopg.OperationalError as error:
        # A refusal while connecting has no SQLSTATE in libpq, only its words.
        if "too many clients" not in str(error) and "connection slots" not in str(error):
            raise
        node.end_sessions()

"""The PostgreSQL of a stack that we started, primary and replicas: what is asked of it, and its reset."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Generic

import psycopg

from harness.errors import StackError
from harness.model import PostgresServer
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.postgres.node import make_room
from harness.stack.postgres.replica import N
from harness.stack.postgres.replicas import Replicas
from harness.stack.postgres.seeding import reset_database
from harness.stack.postgres.settings import settings_in_force


class ReplicatedPostgres(Generic[N]):
    """A running primary with its replicas.

    :param asked: what the topology says of them
    """

    def __init__(self, primary: N, replicas: Replicas[N], asked: PostgresServer) -> None:
        self._primary, self._replicas = primary, replicas
        self._replica_settings = dict(asked.replica_settings)
        with primary.admin() as admin:
            self._settings = settings_in_force(admin)

    @property
    def endpoint(self) -> Endpoint:
        """The primary, at the database that the dataset was seeded into."""
        return self._primary.endpoint

    @property
    def replicas(self) -> tuple[Endpoint, ...]:
        """Those that take reads now."""
        nodes = self._replicas.nodes
        return tuple(node.endpoint for node in nodes if not node.down_on_purpose and node.how_it_died() is None)

    @property
    def nodes(self) -> tuple[N, ...]:
        """The primary and its replicas, running or not."""
        return (self._primary, *self._replicas.nodes)

    def why_not(self, action: str) -> str | None:
        """Why it cannot do ``add_replica``; None if it can."""
        return None

    def add_replica(self) -> N:
        """Bring up one more replica; returns when it takes reads.

        :raises StackError: it did not come up
        """
        return self._replicas.add()

    def reset(self) -> None:
        """Put the database back to exactly the seeded state on all servers; sessions still connected to it are ended.

        Servers that are down, paused or cut off are back, replicas that were added are gone. The statistics of statements
        start anew, and so does what :meth:`save_logs` saves. A session that stays connected to another database of the
        primary is left alone, unless nobody else gets in.

        :raises StackError: a server does not do it
        """
        try:
            self._revive_primary()
            make_room(self._primary)
            self._replicas.ready_for_reset()
            with self._primary.admin() as admin:
                reset_database(admin)
        except psycopg.Error as error:
            said = self._primary.how_it_died() or self._primary.last_lines()
            raise StackError(f"the database could not be reset: {error}{said}") from error
        self._primary.logs.mark()
        self._replicas.follow_reset()

    def check_alive(self) -> str | None:
        """None while all live that are not down on purpose, else how one died and what it said last."""
        return next((died for node in self.nodes if (died := node.how_it_died()) is not None), None)

    def save_logs(self, folder: Path) -> None:
        """Copy what the servers logged since the last reset into ``folder``, which is made where it is missing; what
        replicas logged into a folder of each in it."""
        self._primary.logs.save(folder)
        for node in self._replicas.nodes:
            node.logs.save(folder / node.name)

    def describe(self) -> dict[str, Any]:
        """The object ``stack.postgres`` of run.json."""
        endpoint = self.endpoint
        return {
            "version": endpoint.version,
            "version_num": endpoint.version_num,
            "settings": dict(self._settings),
            **self._given(self._primary),
            "replicas": [
                {"name": node.name, "settings": self._replica_settings, **self._given(node)}
                for node in self._replicas.nodes
            ],
        }

    def _revive_primary(self) -> None:
        self._primary.revive()

    def _given(self, node: N) -> dict[str, Any]:
        """What a server was given, for :meth:`describe`."""
        endpoint = node.endpoint
        return {
            "cpus": endpoint.cpus,
            "cores": None if endpoint.cores is None else list(endpoint.cores),
            "max_connections": endpoint.max_connections,
            "notes": list(endpoint.notes),
        }

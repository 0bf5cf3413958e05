"""A PostgreSQL of one's own: checked, seeded, reset; never started, stopped or configured.

1 connect, and refuse a database that is not marked, that another run uses, or that holds somebody's tables; what an earlier
  run left is not somebody's
2 refuse a role that cannot seed; note what is measured less well for want of a privilege or a setting
3 seed it, or find it seeded: in a copy kept beside it where the role may create databases, else in itself
4 the run; between variants the copy is put back, or the data seeded anew
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Self

import psycopg

from harness.dataset import Fixture
from harness.errors import StackError
from harness.model import PostgresServer
from harness.stack.external import marker, objects, privileges, seeding, watch
from harness.stack.external.copies import MAINTENANCE, Copies
from harness.stack.external.dsn import PostgresAddress
from harness.stack.external.objects import Object
from harness.stack.external.seeding import DatabaseRecipe
from harness.stack.external.session import one, session
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.postgres.settings import About

OLDEST = 140000
REPLAY_S = 60.0
REPLAY_LOOK_S = 0.05
#: The probes leave sessions of this name out of their figures: the one that holds the lock is no client of the database.
UNCOUNTED = "flashcrowd-probe"
_LOCK_CLASS = 0x666C6372  # "flcr"

NOT_MEASURED = (
    "a server of one's own: its CPU and memory are not measured and its log is not read",
    "deadlocks are counted by clients and server only, and their reports are not shown",
)


class ExternalPostgres:
    """A PostgreSQL that is there already; made by :meth:`up`.

    :ivar endpoint: the server, at the database that is loaded
    :ivar replicas: its streaming replicas that take reads
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        replicas: tuple[Endpoint, ...],
        recipe: DatabaseRecipe,
        copies: Copies | None,
        kept: frozenset[Object],
        settings: dict[str, str],
        say: Callable[[str], None],
    ) -> None:
        self.endpoint = endpoint
        self.replicas = replicas
        self._recipe, self._copies, self._kept, self._settings, self._say = recipe, copies, kept, settings, say

    @classmethod
    @contextmanager
    def up(
        cls,
        asked: PostgresServer,
        address: PostgresAddress,
        replicas: Sequence[PostgresAddress],
        fixture: Fixture,
        *,
        scale: float,
        seed: int,
        say: Callable[[str], None],
    ) -> Iterator[Self]:
        """Take a server with a seeded dataset; it is left as it is at the end.

        :raises StackError: it may not be used, or cannot be
        """
        recipe = DatabaseRecipe(fixture=fixture, scale=scale, seed=seed)
        endpoint = endpoint_of(address, name="postgres")
        with ExitStack() as held:
            with session(endpoint) as connection:
                endpoint = _described(connection, endpoint)
                marker.check(connection, address.shown)
                copies: Copies | None = Copies(endpoint)
                why_not = Copies(endpoint).why_not(connection)
                if why_not is not None:
                    copies = None
                held.enter_context(_alone(endpoint, MAINTENANCE if copies else None, address.shown))
                made = watch.ours(connection)
                objects.refuse_foreign(objects.held(connection), made, address.shown)
                privileges.check(connection, address.shown)
                if lost := watch.left_by_a_killed_run(connection):
                    named = objects.named(one.identity for one in lost)
                    say(
                        f"a run on {address.shown} was killed; what came into it since is taken for that run's: {named}"
                    )
                notes = [*NOT_MEASURED, *address.notes, *privileges.differing(connection, asked.settings)]
                if why_not is not None:
                    notes.append(f"the data is seeded anew before each variant, since {why_not}")
                if statements := privileges.prepare_statements(connection):
                    notes.append(statements)
                notes += privileges.notes(connection)
                settings = _settings(connection, asked)
                kept = objects.held(connection) - made
            held.enter_context(watch.watched(endpoint, kept))
            endpoint = replace(endpoint, notes=tuple(notes))
            reading = tuple(_replica(one, number, endpoint) for number, one in enumerate(replicas, start=1))
            server = cls(
                endpoint=endpoint, replicas=reading, recipe=recipe, copies=copies, kept=kept, settings=settings, say=say
            )  # fmt: skip
            server.seed()
            for note in notes:
                say(note)
            yield server

    def seed(self) -> None:
        """Have the seeded data, and the copy of it where one is kept; nothing happens where all is there."""
        # A copy holds what is kept as well: one that was made beside other things would take them away.
        key = hashlib.sha256(repr((self._recipe.digest(), sorted(map(str, self._kept)))).encode()).hexdigest()
        if self._copies is None:
            self._seed_here()
        elif self._copies.key() != key:
            self._seed_here()
            self._copies.make(key)
            self._say(f"kept as database {self._copies.name}, for later runs")

    def reset(self) -> None:
        """Put the data back to exactly the seeded state; sessions in the database are ended.

        :raises StackError: the server does not do it, or somebody took the marker away meanwhile
        """
        with session(self.endpoint) as connection:
            marker.check(connection, f"{self.endpoint.database} at {self.endpoint.host}:{self.endpoint.port}")
        if self._copies is None:
            self._seed_here()
        else:
            self._copies.put_back()
        with session(self.endpoint) as connection:
            privileges.reset_statements(connection)
            position = one(connection, "SELECT pg_current_wal_lsn()::text")[0]
        for replica in self.replicas:
            _await_replay(replica, str(position))

    def describe(self) -> dict[str, Any]:
        """The object ``stack.postgres`` of run.json."""
        return {
            "version": self.endpoint.version,
            "version_num": self.endpoint.version_num,
            "cpus": None,
            "cores": None,
            "max_connections": self.endpoint.max_connections,
            "settings": self._settings,
            "notes": list(self.endpoint.notes),
        }

    def _seed_here(self) -> None:
        with session(self.endpoint, application_name=UNCOUNTED) as connection:
            if seeding.untouched(connection, self._recipe.digest()):
                return
            _end_sessions(connection)
            # Whatever came since the stack was up was made by what ran on it.
            doomed = objects.held(connection) - self._kept
            self._say(f"seeding {self._recipe.fixture.module} at scale {self._recipe.scale:g}")
            seeding.seed(connection, self._recipe, doomed, self._say)


def endpoint_of(address: PostgresAddress, *, name: str) -> Endpoint:
    """The endpoint as far as the address tells; what only the server tells is filled in by whoever asks it."""
    return Endpoint(
        name=name,
        host=address.host,
        port=address.port,
        user=address.user,
        application_user=address.user,
        passwords=() if address.password is None else ((address.user, address.password),),
        database=address.database,
        options=address.options,
        version="",
        version_num=0,
        postmaster_pid=None,
        cpus=None,
        cores=None,
        log_folder=None,
        max_connections=0,
    )


def _described(connection: psycopg.Connection, endpoint: Endpoint) -> Endpoint:
    about = About.read(connection)
    (standby,) = one(connection, "SELECT pg_is_in_recovery()")
    where = f"{endpoint.host}:{endpoint.port}"
    if about.version_num < OLDEST:
        raise StackError(f"{where} is PostgreSQL {about.version}: 14 or newer is needed")
    if standby and endpoint.name == "postgres":
        raise StackError(f"{where} is a replica: name the primary, and replicas in FLASHCROWD_EXTERNAL_REPLICAS")
    return replace(
        endpoint, version=about.version, version_num=about.version_num, max_connections=about.max_connections
    )


def _replica(address: PostgresAddress, number: int, primary: Endpoint) -> Endpoint:
    endpoint = endpoint_of(address, name=f"postgres-replica-{number}")
    with session(endpoint) as connection, session(primary) as other:
        endpoint = _described(connection, endpoint)
        (standby,) = one(connection, "SELECT pg_is_in_recovery()")
        if not standby:
            raise StackError(f"{address.shown} is no replica: it is a primary itself")
        if marker.cluster_of(connection) != marker.cluster_of(other):
            raise StackError(f"{address.shown} is a replica of another server than {primary.host}:{primary.port}")
        if address.database != primary.database:
            raise StackError(f"{address.shown}: name database {primary.database}, which is loaded")
    return replace(endpoint, notes=address.notes)


def _await_replay(replica: Endpoint, position: str) -> None:
    ends = time.monotonic() + REPLAY_S
    refused: StackError | None = None
    while time.monotonic() <= ends:
        try:
            if _replayed(replica, position, ends):
                return
        except psycopg.errors.DatabaseDropped:
            continue  # it replays the drop of the database that the reset replaced, which ends whoever is connected to it
        except StackError as error:  # between that and its successor there is no database of this name
            refused = error
        time.sleep(REPLAY_LOOK_S)
    raise StackError(
        f"{replica.name} at {replica.host}:{replica.port} did not replay the reset within {REPLAY_S:.0f} s: "
        "does it still follow its primary, and is its replay paused?"
    ) from refused


def _replayed(replica: Endpoint, position: str, ends: float) -> bool:
    """Whether it comes to have replayed that before the time."""
    with session(replica) as connection:
        while time.monotonic() <= ends:
            (done,) = one(connection, "SELECT coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, false)", position)
            if done:
                return True
            time.sleep(REPLAY_LOOK_S)
    return False


@contextmanager
def _alone(endpoint: Endpoint, database: str | None, where: str) -> Iterator[None]:
    """Keep other runs off the database meanwhile: one lock, held in a session of its own.

    :raises StackError: another run has it
    """
    with session(endpoint, database=database, application_name=UNCOUNTED) as holder:
        (got,) = one(holder, f"SELECT pg_try_advisory_lock({_LOCK_CLASS}, hashtext(%s))", endpoint.database)
        if not got:
            raise StackError(f"{where} is in use by another run of flashcrowd: wait for it, or name another database")
        yield


def _end_sessions(connection: psycopg.Connection) -> None:
    rows = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend' AND application_name <> %s",
        [UNCOUNTED],
    ).fetchall()
    for (pid,) in rows:
        try:
            connection.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
        except psycopg.errors.InsufficientPrivilege:
            continue  # it may hold no lock at all; if it does, seeding says whose it is


def _settings(connection: psycopg.Connection, asked: PostgresServer) -> dict[str, str]:
    """What was set on the server, and what the incident asks for. Texts are left out: some hold secrets."""
    rows = connection.execute(
        "SELECT name, current_setting(name) FROM pg_settings WHERE (vartype <> 'string' AND source NOT IN"
        " ('default', 'client', 'override', 'session')) OR name = ANY(%s) ORDER BY name",
        [[name.lower() for name in asked.settings]],
    ).fetchall()
    return dict(rows)

"""Replicas of a server of one's own: taken as readers, caught up after a reset, and refused where they are none of its."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from harness.errors import StackError, UsageError
from harness.model import Dataset, PostgresServer, Topology
from harness.stack.embedded import EmbeddedStack
from harness.stack.embedded import account as accounts
from harness.stack.embedded import instance as instances
from harness.stack.embedded import server as servers
from harness.stack.external import marker
from harness.stack.external import postgres as external
from harness.stack.external.stack import ExternalStack
from tests.integration.command import until
from tests.integration.external.conftest import DEBIANS, SECRET, OwnServer, of_debian

pytestmark = pytest.mark.server

SCALE = 0.01


@contextmanager
def replica_of(own: OwnServer) -> Iterator[servers.Server]:
    """A streaming replica, by base backup; stopped on every path."""
    account = accounts.for_servers()
    user = own.make_role("REPLICATION")
    with instances.make(account) as instance:
        subprocess.run(
            [str(DEBIANS / "bin" / "pg_basebackup"), "-R", "-X", "stream", "-c", "fast", "-D", str(instance.data),
             "-d", own.dsn(user, "postgres", f"&sslcert={instance.folder}/none")],  # the server may not look for one in our home
            check=True, capture_output=True, cwd=instance.folder, env={**servers.environment(), "HOME": str(instance.folder)},
            **account.spawn_arguments(),
        )  # fmt: skip
        server = servers.start(instance, binaries=of_debian(), account=account, settings=own.settings, cores=None)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="module")
def replica(own: OwnServer) -> Iterator[servers.Server]:
    """For all tests here."""
    with replica_of(own) as server:
        yield server


def await_replay(own: OwnServer, replica: servers.Server) -> None:
    """Until the replica has all that the primary has now."""
    with own.admin() as primary, replica.connect("postgres") as standby:
        position = primary.execute("SELECT pg_current_wal_lsn()::text").fetchone()
        query = b"SELECT coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, false)"
        until(lambda: standby.execute(query, position).fetchone() == (True,), "the replica to follow")


@pytest.fixture
def named(own: OwnServer, replica: servers.Server, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A marked database, and the replica, named in the environment; their DSNs."""
    user = own.make_role("CREATEDB")
    database = own.make_database(user)
    dsn = own.dsn(user, database)
    with psycopg.connect(dsn, autocommit=True) as connection:
        marker.write(connection)
    await_replay(own, replica)
    other = dsn.replace(f":{own.server.port}/", f":{replica.port}/")
    monkeypatch.setenv("FLASHCROWD_EXTERNAL_POSTGRES", dsn)
    monkeypatch.setenv("FLASHCROWD_EXTERNAL_REPLICAS", other)
    return dsn, other


def take(dataset: Dataset, replicas: int = 1) -> object:
    """The stack of the servers that the environment names."""
    topology = Topology(postgres=PostgresServer(replicas=replicas))
    return ExternalStack.up(topology, dataset, scale=SCALE, seed=1, say=lambda line: None)


def test_a_replica_has_the_seeded_data_after_each_reset(named: tuple[str, str], dataset: Dataset) -> None:
    with take(dataset) as stack:  # type: ignore[attr-defined]
        (reader,) = stack.replicas
        assert list(stack.servers) == ["postgres", "postgres-replica-1"]
        for changed in range(2):
            stack.reset()
            with psycopg.connect(reader.dsn(user=reader.application_user)) as connection:
                assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
                assert connection.execute("SELECT sum(burned), count(*) FROM collections").fetchone() == (0, 60)
            with psycopg.connect(named[0], autocommit=True) as connection:
                connection.execute("UPDATE collections SET burned = %s", [changed + 1])


def test_one_that_does_not_follow_is_told(
    named: tuple[str, str], replica: servers.Server, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external, "REPLAY_S", 0.5)
    with take(dataset) as stack:  # type: ignore[attr-defined]
        with replica.connect("postgres") as admin:
            admin.execute("SELECT pg_wal_replay_pause()")
        try:
            with pytest.raises(StackError, match=r"postgres-replica-1 .* did not replay the reset"):
                stack.reset()
        finally:
            with replica.connect("postgres") as admin:
                admin.execute("SELECT pg_wal_replay_resume()")


def test_a_primary_is_no_replica_and_a_replica_no_primary(
    named: tuple[str, str], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn, other = named
    monkeypatch.setenv("FLASHCROWD_EXTERNAL_REPLICAS", dsn)
    with pytest.raises(StackError, match="is no replica"), take(dataset):  # type: ignore[attr-defined]
        pass
    monkeypatch.setenv("FLASHCROWD_EXTERNAL_POSTGRES", other)
    with pytest.raises(StackError, match="is a replica: name the primary"), take(dataset, 0):  # type: ignore[attr-defined]
        pass


def test_an_incident_with_more_replicas_than_are_named(named: tuple[str, str], dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="has 2 replicas and FLASHCROWD_EXTERNAL_REPLICAS names 1"), take(dataset, 2):  # type: ignore[attr-defined]
        pass


def test_an_incident_without_replicas_takes_none(named: tuple[str, str], dataset: Dataset) -> None:
    with take(dataset, 0) as stack:  # type: ignore[attr-defined]
        assert stack.replicas == ()
        assert SECRET not in repr(stack.postgres)


def test_the_newest_server_is_taken_as_well(
    stack: EmbeddedStack, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL 18 without encryption, and a superuser: what differs between versions is in the statements."""
    port = stack.postgres.port  # type: ignore[union-attr]
    with psycopg.connect(stack.postgres.dsn(), autocommit=True) as admin:  # type: ignore[union-attr]
        admin.execute("CREATE DATABASE theirs ENCODING SQL_ASCII TEMPLATE template0")
    try:
        dsn = f"postgresql://postgres@127.0.0.1:{port}/theirs?sslmode=disable"
        monkeypatch.setenv("FLASHCROWD_EXTERNAL_POSTGRES", dsn)
        with psycopg.connect(dsn, autocommit=True, client_encoding="utf8") as connection:
            marker.write(connection)
        with take(dataset, 0) as theirs:  # type: ignore[attr-defined]
            theirs.reset()
            notes = " ".join(theirs.postgres.notes)
            assert theirs.postgres.version_num >= 180000
            assert "GRANT" not in notes and "is a superuser" in notes
    finally:
        with psycopg.connect(stack.postgres.dsn(), autocommit=True) as admin:  # type: ignore[union-attr]
            for name in ("theirs", "theirs_flashcrowd_seed"):
                admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())

"""Back to exactly the seeded state, whatever was done to the database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from harness.stack.embedded import EmbeddedStack
from harness.stack.postgres.endpoint import Endpoint
from tests.integration.command import until

pytestmark = pytest.mark.server

TABLES = {
    "collectors": "collector_id",
    "collections": "collection_id",
    "items": "item_id",
    "editions": "edition_id",
    "crafts": "request_id",
}


def checksums(endpoint: Endpoint) -> dict[str, str]:
    """A checksum over all rows of each table, and over all definitions."""
    with psycopg.connect(endpoint.dsn()) as connection:
        found = {}
        for table, key in TABLES.items():
            query = f"SELECT md5(coalesce(string_agg(row::text, E'\\n' ORDER BY {key}), '')) FROM {table} AS row"
            found[table] = _one(connection, query)
        found["definitions"] = _one(
            connection,
            "SELECT md5(string_agg(word, E'\\n' ORDER BY word)) FROM ("
            " SELECT format('%s %s %s %s %s', relname, attname, atttypid::regtype, attnotnull, reloptions) AS word"
            "  FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid WHERE relnamespace = 'public'::regnamespace"
            " UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"
            " UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint) AS words",
        )
        return found


def _one(connection: psycopg.Connection, query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])


def test_every_change_is_undone(stack: EmbeddedStack, postgres: Endpoint) -> None:
    before = checksums(postgres)
    assert len(set(before.values())) == len(before)
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("UPDATE collections SET burned = 7")
        connection.execute("UPDATE items SET burned_by = item_id WHERE item_id % 3 = 0")
        connection.execute("INSERT INTO crafts (request_id, collector_id, edition_id) VALUES (1, 1, 1)")
        connection.execute("DELETE FROM editions WHERE edition_id > 100")
        connection.execute("INSERT INTO collectors VALUES (-1)")
        connection.execute("DROP INDEX items_of_collector")
        connection.execute("CREATE TABLE mine AS SELECT 1 AS one")
    broken = checksums(postgres)
    assert not set(broken.items()) & set(before.items())
    stack.reset()
    assert checksums(postgres) == before


def test_statistics_of_statements_start_anew(stack: EmbeddedStack, postgres: Endpoint) -> None:
    mine = "SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%%a_name_of_its_own%%' AND query NOT LIKE '%%pg_stat%%'"
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("SELECT 1 AS a_name_of_its_own")
        assert connection.execute(mine.encode()).fetchone() == (1,)
    stack.reset()
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        assert connection.execute(mine.encode()).fetchone() == (0,)


def test_the_planner_knows_the_tables(postgres: Endpoint) -> None:
    with psycopg.connect(postgres.dsn()) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class LEFT JOIN pg_statistic ON starelid = oid WHERE relkind = 'r'"
            " AND relnamespace = 'public'::regnamespace AND reltuples > 0 AND starelid IS NULL"
        ).fetchall()
        assert rows == []
        row = connection.execute("SELECT reltuples FROM pg_class WHERE relname = 'items'").fetchone()
        assert row == (12_000,)


def test_sessions_in_the_middle_of_something_are_ended(stack: EmbeddedStack, postgres: Endpoint) -> None:
    before = checksums(postgres)
    idle = psycopg.connect(postgres.dsn(), autocommit=True)
    idle.execute("SELECT 1")
    in_transaction = psycopg.connect(postgres.dsn())
    in_transaction.execute("UPDATE collections SET burned = 9")
    failed: list[psycopg.Error] = []

    def wait_behind() -> None:
        with psycopg.connect(postgres.dsn()) as connection:
            try:
                connection.execute("UPDATE collections SET burned = 10")  # behind the other's lock
            except psycopg.Error as error:
                failed.append(error)

    def waits() -> bool:
        row = idle.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
        return row == (1,)

    waiting = threading.Thread(target=wait_behind)
    waiting.start()
    until(waits, "the second to wait for the first")
    stack.reset()
    waiting.join(30)
    assert [error.sqlstate for error in failed] == ["57P01"]
    for session in (idle, in_transaction):
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
        session.close()
    assert checksums(postgres) == before


@pytest.fixture
def crowd(postgres: Endpoint) -> Iterator[list[psycopg.Connection]]:
    """Sessions of superusers that take every connection the server has, the reserved ones too."""
    with ExitStack() as closing:
        sessions: list[psycopg.Connection] = []
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            while len(sessions) <= postgres.max_connections:
                session = psycopg.connect(postgres.dsn(), autocommit=True)
                closing.callback(session.close)
                sessions.append(session)
        yield sessions


def test_a_full_server_is_reset(stack: EmbeddedStack, crowd: list[psycopg.Connection]) -> None:
    assert len(crowd) == stack.postgres.max_connections
    stack.reset()
    with psycopg.connect(stack.postgres.dsn()) as connection:
        assert connection.execute("SELECT count(*) FROM crafts").fetchone() == (0,)
    with pytest.raises(psycopg.OperationalError):
        crowd[0].execute("SELECT 1")


def test_logs_are_saved_from_the_last_reset_on(stack: EmbeddedStack, postgres: Endpoint, tmp_path: Path) -> None:
    def fail(column: str) -> None:
        with (
            psycopg.connect(postgres.dsn(), autocommit=True) as connection,
            pytest.raises(psycopg.errors.UndefinedColumn),
        ):
            connection.execute(f"SELECT {column} FROM crafts".encode())

    fail("of_the_first_run")
    stack.reset()
    fail("of_the_second_run")
    # The logger is a process of its own: wait until it has written the line.
    log = postgres.log_folder / "postgres.json"
    for _ in range(500):
        if "of_the_second_run" in log.read_text():
            break
        threading.Event().wait(0.01)
    stack.save_logs(tmp_path / "logs")
    for name in ("postgres.json", "postgres.log"):
        saved = (tmp_path / "logs" / name).read_text()
        assert "of_the_second_run" in saved
        assert "of_the_first_run" not in saved
    assert "of_the_first_run" in log.read_text()

"""The dataset: the same rows from the same seed, and each invariant proven by breaking it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from fixtures.collectibles import check, seed, sizes
from harness.model import Invariant
from harness.stack.postgres.endpoint import Endpoint
from tests.integration.stack.test_reset import TABLES

pytestmark = pytest.mark.server

CRAFTS = 20
FIVE, EDITION, COUNTER, MISSING, UNASKED = range(5)


@pytest.fixture
def crowd(postgres: Endpoint) -> Iterator[psycopg.Connection]:
    """A session of a database in which requests 1 to 20 have crafted, soundly."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("UPDATE items SET burned_by = 1 + (item_id - 1) / 5 WHERE item_id <= %s", [CRAFTS * 5])
        connection.execute("UPDATE editions SET craft_request = edition_id WHERE edition_id <= %s", [CRAFTS])
        connection.execute(
            "INSERT INTO crafts (request_id, collector_id, edition_id) SELECT n, 1, n FROM generate_series(1, %s) AS n",
            [CRAFTS],
        )
        connection.execute(
            "UPDATE collections SET burned = (SELECT count(*) FROM items"
            " WHERE items.collection_id = collections.collection_id AND burned_by IS NOT NULL)"
        )
        yield connection


def checked(connection: psycopg.Connection) -> list[Invariant]:
    return check(connection, range(1, 16), range(16, CRAFTS + 11))  # 21 to 30 timed out and were not committed


def broken(found: list[Invariant]) -> dict[int, int | None]:
    return {number: invariant.violations for number, invariant in enumerate(found) if invariant.violations != 0}


def test_a_fresh_database_is_sound(postgres: Endpoint) -> None:
    with psycopg.connect(postgres.dsn()) as connection:
        found = check(connection, [], [])
    assert [(invariant.violations, invariant.detail) for invariant in found] == [(0, "")] * 5
    assert len({invariant.name for invariant in found}) == 5


def test_sound_crafts_are_sound(crowd: psycopg.Connection) -> None:
    assert broken(checked(crowd)) == {}


@pytest.mark.parametrize(
    ("statement", "expected", "invariant", "said"),
    [
        ("UPDATE items SET burned_by = 3 WHERE item_id = 6", {FIVE: 2}, FIVE, "request 2 burned 4; request 3 burned 6"),
        ("DELETE FROM crafts WHERE request_id = 20", {FIVE: 1, EDITION: 1}, FIVE, "5 items burned by request 20"),
        ("UPDATE items SET burned_by = NULL WHERE burned_by = 7", {FIVE: 1, COUNTER: None}, FIVE, "request 7 burned 0"),
        ("UPDATE editions SET craft_request = NULL WHERE edition_id = 4", {EDITION: 1}, EDITION, "given to nobody"),
        ("UPDATE editions SET craft_request = NULL WHERE edition_id = 9; UPDATE editions SET craft_request = 9 WHERE edition_id = 99", {EDITION: 2}, EDITION, "edition 99 was given to request 9, which says edition 9"),
        ("UPDATE crafts SET edition_id = 5 WHERE request_id = 6", {EDITION: 2}, EDITION, "request 6 says edition 5"),
        ("UPDATE editions SET craft_request = 777 WHERE edition_id = 50", {EDITION: 1}, EDITION, "request 777, which crafted nothing"),
        ("UPDATE collections SET burned = burned - 1 WHERE collection_id = 8", {COUNTER: 1}, COUNTER, "collection 8"),
        ("UPDATE collections SET burned = burned + 2 * (collection_id % 2) - 1", {COUNTER: 60}, COUNTER, "and 55 more"),
    ],
    ids=[
        "one item changed hands", "craft lost", "items back", "edition taken back", "another edition given",
        "edition given twice", "edition to nobody", "one count lost", "counts wrong, sum right",
    ],
)  # fmt: skip
def test_what_is_broken_is_found(
    statement: str, expected: dict[int, int | None], invariant: int, said: str, crowd: psycopg.Connection
) -> None:
    for part in statement.split(";"):
        crowd.execute(part.encode())
    found = checked(crowd)
    assert said in found[invariant].detail
    actual = broken(found)
    assert actual.keys() == expected.keys()
    # None: how many collections five items are of depends on the seed
    assert all(count is None or actual[number] == count for number, count in expected.items())


def test_an_acknowledged_craft_that_is_missing_is_found(crowd: psycopg.Connection) -> None:
    found = check(crowd, [*range(1, 16), 404, 405], range(16, CRAFTS + 1))
    assert broken(found) == {MISSING: 2}
    assert found[MISSING].detail == "request 404; request 405"


def test_a_craft_that_nobody_asked_for_is_found(crowd: psycopg.Connection) -> None:
    found = check(crowd, range(1, 16), range(17, CRAFTS + 1))
    assert broken(found) == {UNASKED: 1}
    assert found[UNASKED].detail == "request 16"


def test_an_indeterminate_craft_may_be_there_or_not(crowd: psycopg.Connection) -> None:
    assert broken(check(crowd, range(1, CRAFTS), [CRAFTS, 999])) == {}


def test_only_the_first_few_are_named(crowd: psycopg.Connection) -> None:
    found = check(crowd, [], [])
    assert found[UNASKED].violations == CRAFTS
    assert found[UNASKED].detail == "request 1; request 2; request 3; request 4; request 5; and 15 more"


@pytest.mark.parametrize("autocommit", [True, False])
def test_checking_leaves_nothing_behind(autocommit: bool, crowd: psycopg.Connection) -> None:
    crowd.autocommit = autocommit
    assert check(crowd, range(1, 16), range(16, 21)) == check(crowd, range(1, 16), range(16, 21))
    row = crowd.execute("SELECT to_regclass('pg_temp.acknowledged'), to_regclass('pg_temp.indeterminate')").fetchone()
    assert row == (None, None)


# --- seeding ----------------------------------------------------------------------------------------------------------


def rows_of(endpoint: Endpoint, scale: float, number: int) -> dict[str, tuple[int, str]]:
    """Rows and checksum of each table of a database seeded for the occasion."""
    name = "seeded_for_a_test"
    with psycopg.connect(endpoint.dsn(database="postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
        try:
            with psycopg.connect(endpoint.dsn(database=name)) as connection:
                seed(connection, scale, number)
                found = {}
                for table, key in TABLES.items():
                    query = f"SELECT count(*), md5(coalesce(string_agg(row::text, E'\\n' ORDER BY {key}), '')) FROM {table} AS row"
                    row = connection.execute(query.encode()).fetchone()
                    assert row is not None
                    found[table] = row
                return found
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_the_same_seed_gives_the_same_rows_and_another_gives_others(postgres: Endpoint) -> None:
    first = rows_of(postgres, 0.01, 1)
    assert rows_of(postgres, 0.01, 1) == first
    other = rows_of(postgres, 0.01, 2)
    assert {table: count for table, (count, _) in other.items()} == {
        table: count for table, (count, _) in first.items()
    }
    assert other["items"] != first["items"]


@pytest.mark.parametrize("scale", [0.0001, 0.01, 0.035])
def test_sizes_follow_the_scale(scale: float, postgres: Endpoint) -> None:
    size = sizes(scale)
    expected = {
        "collectors": size.collectors,
        "collections": 60,
        "items": size.items,
        "editions": size.editions,
        "crafts": 0,
    }
    assert {table: count for table, (count, _) in rows_of(postgres, scale, 1).items()} == expected


def test_items_are_spread_over_people_and_collections(postgres: Endpoint) -> None:
    with psycopg.connect(postgres.dsn()) as connection:
        row = connection.execute(
            "SELECT avg(items), min(items), max(items) FROM (SELECT count(*) AS items FROM items GROUP BY collector_id) AS c"
        ).fetchone()
        assert row is not None
        assert 29 < row[0] < 31
        assert row[1] >= 5  # everyone can craft at least once
        held = connection.execute("SELECT count(DISTINCT collection_id) FROM items").fetchone()
        assert held == (60,)


def test_a_free_edition_is_taken_by_index(postgres: Endpoint) -> None:
    query = "EXPLAIN SELECT edition_id FROM editions WHERE craft_request IS NULL ORDER BY edition_id LIMIT 1 FOR UPDATE SKIP LOCKED"
    with psycopg.connect(postgres.dsn()) as connection:
        plan = " ".join(line for (line,) in connection.execute(query))
    assert "Index Scan using editions_free" in plan


def test_the_foreign_keys_add_no_conflict(postgres: Endpoint) -> None:
    with psycopg.connect(postgres.dsn()) as burning, psycopg.connect(postgres.dsn()) as other:
        burning.execute("UPDATE items SET burned_by = 1 WHERE item_id <= 50")
        burning.execute("INSERT INTO crafts (request_id, collector_id, edition_id) VALUES (1, 1, 1)")
        other.execute("SET lock_timeout = '1s'")  # a conflict would raise
        other.execute("SELECT FROM collections FOR UPDATE")  # the strongest lock, on every counter
        other.execute("UPDATE items SET burned_by = 2 WHERE item_id BETWEEN 51 AND 100")
        other.execute(
            "INSERT INTO crafts (request_id, collector_id, edition_id) VALUES (2, 1, 2)"
        )  # the same collector
        burning.rollback()
        other.rollback()

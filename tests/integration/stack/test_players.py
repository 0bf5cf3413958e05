"""The players: the same documents from the same seed, and each invariant proven by breaking it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import bson
import pytest
from pymongo import MongoClient
from pymongo.database import Database

from fixtures.players import COLLECTION, check_mongo, seed_mongo, size
from harness.stack.mongo.members import ReplicaSet

pytestmark = pytest.mark.server

SAVES = 20
COUNTED, TWICE, MISSING, UNASKED, INDEX = range(5)
SCALE = 0.0005


@pytest.fixture
def database(mongo: ReplicaSet) -> Iterator[Database]:
    """A database of the test's own, seeded."""
    with MongoClient(mongo.uri(), w="majority") as client:
        client.drop_database("players_of_a_test")
        seed_mongo(client["players_of_a_test"], SCALE, 1)
        yield client["players_of_a_test"]
        client.drop_database("players_of_a_test")


@pytest.fixture
def saved(database: Database) -> Database:
    """One in which requests 1 to 20 have saved, soundly: two of each of ten players."""
    for request in range(1, SAVES + 1):
        save(database, 1 + request % 10, request)
    return database


def save(database: Database, player: int, request: int) -> None:
    database[COLLECTION].update_one({"_id": player}, {"$inc": {"saves": 1}, "$push": {"saved_by": request}})


def broken(database: Database, acknowledged: range = range(1, 16), indeterminate: range = range(16, 31)) -> dict:
    found = check_mongo(database, acknowledged, indeterminate)
    return {number: one.violations for number, one in enumerate(found) if one.violations != 0}


def test_a_fresh_database_is_sound(database: Database) -> None:
    found = check_mongo(database, [], [])
    assert [(one.violations, one.detail) for one in found] == [(0, "")] * 5
    assert len({one.name for one in found}) == 5


def test_sound_saves_are_sound(saved: Database) -> None:
    assert broken(saved) == {}


@pytest.mark.parametrize(
    ("act", "expected", "said"),
    [
        (lambda db: db[COLLECTION].update_one({"_id": 3}, {"$inc": {"saves": 1}}), {COUNTED: 1}, "player 3 counts 3, has 2"),
        (lambda db: db[COLLECTION].update_one({"_id": 50}, {"$inc": {"saves": 1}}), {COUNTED: 1}, "player 50 counts 1, has 0"),
        (lambda db: db[COLLECTION].update_one({"_id": 50}, {"$push": {"saved_by": 21}}), {COUNTED: 1}, "player 50 counts 0, has 1"),
        (lambda db: save(db, 50, 4), {TWICE: 1}, "request 4"),
        (lambda db: db[COLLECTION].delete_one({"_id": 6}), {MISSING: 2}, "request 5; request 15"),
        (lambda db: save(db, 50, 777), {UNASKED: 1}, "request 777"),
        (lambda db: db[COLLECTION].drop_index("level_1_alliance_1"), {INDEX: 1}, "there is none"),
    ],
    ids=["counted too many", "counted what is not", "not counted", "saved twice", "lost", "unasked", "no index"],
)  # fmt: skip
def test_what_is_broken_is_found(
    act: Callable[[Database], object], expected: dict[int, int], said: str, saved: Database
) -> None:
    act(saved)
    assert broken(saved) == expected
    (number,) = expected
    assert said in check_mongo(saved, range(1, 16), range(16, 31))[number].detail


def test_another_index_that_begins_alike_will_do(saved: Database) -> None:
    saved[COLLECTION].create_index([("level", 1), ("alliance", 1), ("_id", 1)])
    saved[COLLECTION].drop_index("level_1_alliance_1")
    assert broken(saved) == {}


def test_only_the_first_few_are_named(saved: Database) -> None:
    found = check_mongo(saved, [], [])[UNASKED]
    assert found.violations == SAVES
    assert found.detail == "request 1; request 2; request 3; request 4; request 5; and 15 more"


def contents(database: Database, scale: float, seed: int) -> tuple[int, str]:
    """How many documents a seed gives, and their digest."""
    database[COLLECTION].drop()
    seed_mongo(database, scale, seed)
    found = list(database[COLLECTION].find().sort("_id"))
    assert [player["_id"] for player in found] == list(range(1, len(found) + 1))
    return len(found), hashlib.sha256(b"".join(bson.encode(player) for player in found)).hexdigest()


def test_the_same_seed_gives_the_same_documents_and_another_gives_others(database: Database) -> None:
    first = contents(database, SCALE, 1)
    assert contents(database, SCALE, 1) == first
    other = contents(database, SCALE, 2)
    assert other[0] == first[0] == size(SCALE)
    assert other[1] != first[1]
    assert contents(database, SCALE * 2, 1)[0] == 2 * first[0]

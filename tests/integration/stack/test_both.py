"""PostgreSQL and MongoDB in one stack: each with its dataset, put back and checked together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pymongo import MongoClient

from harness import invariants
from harness.model import Application, Dataset, Incident, MongoReplicaSet, PostgresServer, Source, Topology, Traffic
from harness.stack.embedded import EmbeddedStack
from tests.integration.conftest import SCALE, SEED
from tests.unit.runs import Request, RunBuilder

pytestmark = pytest.mark.server

INCIDENT = Incident(
    name="both",
    title="Both",
    story="Crafts and saves.",
    source=Source(title="a test", date="2026"),
    topology=Topology(postgres=PostgresServer(), mongo=MongoReplicaSet(members=1)),
    dataset=Dataset(module="tests.integration.stack.both", version=1, records=("craft",), mongo_records=("save",)),
    application=Application(),
    traffic=Traffic(phases=(), mix={"craft": 1, "save": 1}),
    variants=(),
    symptoms=(),
)


@pytest.fixture(scope="module")
def stack(_own_cache: None) -> Iterator[EmbeddedStack]:
    """Both servers."""
    topology, dataset = INCIDENT.topology, INCIDENT.dataset
    with EmbeddedStack.up(topology, dataset, scale=SCALE, seed=SEED, say=lambda line: None) as running:
        yield running


def counts(stack: EmbeddedStack) -> tuple[int, int]:
    assert stack.postgres is not None
    assert stack.mongo is not None
    with psycopg.connect(stack.postgres.dsn()) as connection, MongoClient(stack.mongo.uri()) as client:
        row = connection.execute("SELECT count(*) FROM items").fetchone()
        assert row is not None
        return row[0], client[stack.mongo.database]["players"].count_documents({})


def test_a_reset_puts_both_back(stack: EmbeddedStack, tmp_path: Path) -> None:
    before = counts(stack)
    assert min(before) > 0
    assert list(stack.servers) == ["postgres", "mongo-1"]
    assert {"postgres", "mongo"} < stack.describe().keys()
    with psycopg.connect(stack.postgres.dsn()) as connection, MongoClient(stack.mongo.uri()) as client:
        connection.execute("DELETE FROM items WHERE item_id < 100")
        client[stack.mongo.database]["players"].delete_many({"_id": {"$lt": 100}})
    changed = counts(stack)
    assert changed[0] < before[0]
    assert changed[1] < before[1]
    stack.reset()
    assert counts(stack) == before
    stack.save_logs(tmp_path)
    assert {"postgres.log", "mongo-1.log"} <= {path.name for path in tmp_path.iterdir()}


def test_each_database_is_held_against_its_own_requests(stack: EmbeddedStack, tmp_path: Path) -> None:
    requests = [
        Request(intended_s=float(at), operation=operation, arrival=2 * at + number)
        for at in range(3)
        for number, operation in enumerate(("craft", "save"))
    ]
    RunBuilder(folder=tmp_path, requests=requests, invariants=None).write()
    invariants.check(INCIDENT, stack, tmp_path)
    found = {one["name"]: one for one in json.loads((tmp_path / "invariants.json").read_text())}
    # None of them was carried out, so all are missing: three of each kind, and not all six of both.
    assert found["no acknowledged craft is missing"]["violations"] == 3
    assert found["no acknowledged save is missing"]["violations"] == 3
    assert len(found) == 10


def test_a_check_that_cannot_be_made_is_said_and_the_other_is_made(
    stack: EmbeddedStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invariants, "ANSWER_S", 0.5)
    RunBuilder(folder=tmp_path, invariants=None).write()
    stack.servers["mongo-1"].stop()
    try:
        invariants.check(INCIDENT, stack, tmp_path)
    finally:
        stack.servers["mongo-1"].start()
    found = json.loads((tmp_path / "invariants.json").read_text())
    assert [one["name"] for one in found if one["violations"] is None] == ["the dataset's check in MongoDB"]
    assert "ServerSelectionTimeoutError" in found[-1]["detail"]
    assert len(found) == 6

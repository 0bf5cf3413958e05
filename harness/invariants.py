"""Holds the dataset of a run against what the clients were told, on each kind of database that the stack has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import psycopg
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from harness import dataset
from harness.model import Incident, Invariant, Outcome
from harness.record import format as layout
from harness.record.reader import Run
from harness.record.writer import write_json
from harness.stack.mongo.members import ReplicaSet
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.stack import Stack

ANSWER_S = 10.0

Ids = tuple[list[int], list[int]]


def check(incident: Incident, stack: Stack, folder: Path) -> None:
    """Write ``invariants.json``; a check that cannot be made is an invariant not checked.

    :raises RecordingError: it cannot be written
    """
    declared, fixture = incident.dataset, dataset.load(incident.dataset, incident.topology)
    found: list[Invariant] = []
    if stack.postgres is not None:
        postgres, ids = stack.postgres, _ids(folder, declared.records)
        found += _attempt("the dataset's check", lambda: _in_postgres(postgres, fixture, ids))
    if stack.mongo is not None:
        records = declared.records if declared.mongo_records is None else declared.mongo_records
        mongo, theirs = stack.mongo, _ids(folder, records)
        # One name where there is one database, so that a verdict without the file says the same.
        name = "the dataset's check" if stack.postgres is None else "the dataset's check in MongoDB"
        found += _attempt(name, lambda: _in_mongo(mongo, fixture, theirs))
    write_json(folder / layout.INVARIANTS, [asdict(invariant) for invariant in found])


def _attempt(name: str, check: Callable[[], list[Invariant]]) -> list[Invariant]:
    try:
        return check()
    except (psycopg.Error, PyMongoError) as error:
        return [Invariant(name=name, violations=None, detail=f"{type(error).__name__}: {error}")]


def _in_postgres(endpoint: Endpoint, fixture: dataset.Fixture, ids: Ids) -> list[Invariant]:
    # A database without an encoding (SQL_ASCII) would give bytes for texts.
    with psycopg.connect(endpoint.dsn(), client_encoding="utf8") as connection:
        return fixture.check(connection, *ids)


def _in_mongo(replica_set: ReplicaSet, fixture: dataset.Fixture, ids: Ids) -> list[Invariant]:
    limit_ms = int(ANSWER_S * 1000)  # to have a primary: an election after the run's last fault takes a moment
    client: MongoClient[dataset.Document] = MongoClient(
        replica_set.uri(), appname="flashcrowd-check", serverSelectionTimeoutMS=limit_ms
    )
    with client:
        return fixture.check_mongo(client[replica_set.database], *ids)


def _ids(folder: Path, operations: Sequence[str]) -> Ids:
    """Ids of the requests of some operations that were acknowledged, and of those that may or may not have succeeded."""
    rows = Run(folder).arrays(
        f"SELECT arrival::BIGINT << {layout.ATTEMPT_BITS} | attempt AS request_id, outcome FROM requests"
        " WHERE list_contains(?, operation)",
        [list(operations)],
    )
    outcomes = rows["outcome"]
    acknowledged: list[int] = rows["request_id"][outcomes == Outcome.OK].tolist()
    indeterminate: list[int] = rows["request_id"][np.isin(outcomes, Outcome.INDETERMINATE)].tolist()
    return acknowledged, indeterminate

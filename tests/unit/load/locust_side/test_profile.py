"""The operations of all user classes, each with what it works with; what does not fit the mix is refused."""

from typing import Any

import pytest
from locust import User
from locust.env import Environment

from harness.errors import DefinitionError
from harness.load.locust_side import Arrival, MongoUser, PostgresUser, operation
from harness.load.locust_side.profile import Profile
from harness.load.locust_side.source import Database, Use


class Collector(PostgresUser):
    @operation
    async def craft(self, db: Any, arrival: Arrival) -> None: ...

    @operation(reads=True)
    async def view(self, db: Any, arrival: Arrival) -> None: ...

    async def helper(self) -> None: ...


class Player(MongoUser):
    @operation
    async def save(self, database: Any, arrival: Arrival) -> None: ...


class Watcher(MongoUser):
    @operation(reads=True)
    async def watch(self, database: Any, arrival: Arrival) -> None: ...


class Visitor(PostgresUser):
    @operation
    async def look(self, db: Any, arrival: Arrival) -> None: ...


class Crafter(PostgresUser):
    @operation
    async def craft(self, db: Any, arrival: Arrival) -> None: ...


class Vanilla(User):
    """None of ours."""


def profile(*classes: type[User], wanted: tuple[str, ...]) -> Profile:
    return Profile(Environment(user_classes=list(classes)), wanted)


def test_operations_of_all_classes_whoever_is_spawned() -> None:
    environment = Environment(user_classes=[Collector, Vanilla, Visitor, Player])
    found = Profile(environment, ("craft", "view", "look", "save"))
    assert found.uses == {
        "craft": Use(database=Database.POSTGRES),
        "view": Use(database=Database.POSTGRES, reads=True),
        "look": Use(database=Database.POSTGRES),
        "save": Use(database=Database.MONGO),
    }
    user = Visitor(environment)
    operations = found.operations(user)
    assert operations.keys() == {"craft", "view", "look", "save"}
    assert operations["look"].__self__ is user  # type: ignore[attr-defined]
    assert isinstance(operations["craft"].__self__, Collector)  # type: ignore[attr-defined]
    assert operations["craft"].__self__ is operations["view"].__self__  # type: ignore[attr-defined]


def test_an_operation_that_the_mix_lacks_is_no_concern() -> None:
    assert profile(Collector, Crafter, wanted=("view",)).uses.keys() == {"view"}


@pytest.mark.parametrize(
    ("classes", "value"),
    [([Visitor], None), ([Vanilla], None), ([Collector, Crafter], ["Collector", "Crafter"])],
    ids=["in none", "in none of ours", "in two"],
)
def test_each_operation_of_the_mix_is_in_one_class(classes: list[type[User]], value: Any) -> None:
    with pytest.raises(DefinitionError) as refused:
        profile(*classes, wanted=("craft",))
    assert (refused.value.field, refused.value.value) == ("craft", value)
    assert refused.value.where == __file__


def test_which_member_of_a_replica_set_reads_is_no_mark() -> None:
    with pytest.raises(DefinitionError, match="read preference"):
        profile(Watcher, wanted=("watch",))

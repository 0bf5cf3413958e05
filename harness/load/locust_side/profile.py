"""What an incident's ``users.py`` offers: operations by name, and what each works with."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from locust import User
from locust.env import Environment

from harness.errors import DefinitionError
from harness.load.locust_side.crowd import Operation
from harness.load.locust_side.source import MARK, READS, Database, Use


class Profile:
    """The user classes that Locust was started with; those that are none of ours are left to Locust.

    :param wanted: the operations of the traffic's mix
    :ivar uses: what each wanted operation works with
    :raises DefinitionError: an operation is in no class or in several, or is marked as what its database has not
    """

    def __init__(self, environment: Environment, wanted: Collection[str]) -> None:
        self._environment = environment
        self._classes = [each for each in environment.user_classes if isinstance(_database(each), Database)]
        found = [(name, each) for each in self._classes for name in _marked(each) if name in wanted]
        counts = Counter(name for name, _ in found)
        where = str(sys.modules[environment.user_classes[0].__module__].__file__)
        for name in wanted:
            if counts[name] != 1:
                raise DefinitionError(
                    where=where,
                    field=name,
                    value=[each.__name__ for found_name, each in found if found_name == name] or None,
                    expected="a method marked @operation of exactly one user class that Locust runs",
                )
        self.uses = {
            name: Use(database=_database(each), reads=getattr(getattr(each, name), READS, False))
            for name, each in found
        }
        for name, use in self.uses.items():
            if use.reads and use.database is not Database.POSTGRES:
                raise DefinitionError(
                    where=where,
                    field=name,
                    value="reads=True",
                    expected="a plain @operation: which member of a MongoDB replica set reads is its read preference",
                )

    def operations(self, user: User) -> dict[str, Operation]:
        """All operations for one person: the user's own, and those of a companion of each other class."""
        companions = [user if type(user) is each else each(self._environment) for each in self._classes]
        return {name: getattr(one, name) for one in companions for name in _marked(type(one))}


def _marked(user_class: type[User]) -> Sequence[str]:
    return [name for name in dir(user_class) if getattr(getattr(user_class, name, None), MARK, False)]


def _database(user_class: type[User]) -> Any:
    return getattr(user_class, "database", None)

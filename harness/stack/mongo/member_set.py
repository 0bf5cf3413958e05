"""The members of a replica set that we started: what is the same for every provider once they are up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from harness.model import MongoReplicaSet
from harness.stack.logs import Logs
from harness.stack.mongo.members import ReplicaSet
from harness.stack.mongo.options import PARAMETERS
from harness.stack.stack import Server


class SetMember(Server, Protocol):
    """A member as its set needs it.

    :ivar logs: what it logged since the last reset
    """

    logs: Logs

    def how_it_died(self) -> str | None:
        """None while it lives or is down on purpose."""

    def described(self) -> dict[str, Any]:
        """What it was given, for run.json."""


M = TypeVar("M", bound=SetMember)


class MemberSet(Generic[M]):
    """A running replica set.

    :param about: what the provider has to say of it in run.json besides
    :ivar members: each as the timeline acts upon it, the first was the primary when the set came up
    :ivar replica_set: where its members are, at the database that the dataset was seeded into
    """

    def __init__(
        self, members: Sequence[M], replica_set: ReplicaSet, asked: MongoReplicaSet, about: dict[str, Any] | None = None
    ) -> None:
        self.members, self.replica_set = tuple(members), replica_set
        self._asked, self._about = asked, about or {}

    def check_alive(self) -> str | None:
        """None while all members live that are not down on purpose, else how one died."""
        return next((died for member in self.members if (died := member.how_it_died()) is not None), None)

    def save_logs(self, folder: Path) -> None:
        """Copy what the members logged since the last reset into ``folder``, which is made where it is missing."""
        for member in self.members:
            member.logs.save(folder, name=f"{member.name}.log")

    def describe(self) -> dict[str, Any]:
        """The object ``stack.mongo`` of run.json."""
        return {
            "version": self.replica_set.version,
            **self._about,
            "members": [member.described() for member in self.members],
            "cache_bytes": self._asked.cache_bytes,
            "parameters": {**PARAMETERS, **self._asked.parameters},
            "failpoints": self._asked.failpoints,
            "notes": list(self.replica_set.notes),
        }

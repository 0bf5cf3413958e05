"""CreateMongoIndex: an index on a collection of the replica set."""

from __future__ import annotations

from typing import Any

from pymongo.errors import OperationFailure

from harness.errors import StackError
from harness.model import CreateMongoIndex
from harness.model.timeline import MONGO_PRIMARY
from harness.timeline.members import client_of, replica_set, resolve, run, run_on_primary
from harness.timeline.performer import Done, Performer, Scene

#: The server's codes for what is to be undone and is not there: IndexNotFound, NamespaceNotFound.
_NOT_THERE = (27, 26)


class CreatingMongoIndex(Performer[CreateMongoIndex]):
    """Creates an index, and drops it; a build that still goes on is broken off by that."""

    def __init__(self, action: CreateMongoIndex, scene: Scene, label: str) -> None:
        super().__init__(action, scene, label)
        self._begun = False

    async def act(self) -> Done:
        action, found = self.action, replica_set(self.scene.stack)
        (primary,) = await resolve(self.scene.stack, MONGO_PRIMARY)
        async with client_of(found, primary) as client:
            cursor = await client[found.database][action.collection].list_indexes()
            if any(index["name"] == action.name for index in await cursor.to_list()):
                raise StackError(f"{action.collection} has an index {action.name} already; name this one otherwise")
            self._begun = True
            await run(client, found.database, command(action))
        return Done(servers=(primary.name,))

    async def undo(self) -> bool:
        if not self._begun:
            return False
        try:
            await run_on_primary(
                self.scene.stack,
                {"dropIndexes": self.action.collection, "index": self.action.name, "writeConcern": {"w": 1}},
            )
        except OperationFailure as error:
            if error.code not in _NOT_THERE:
                raise
        self._begun = False
        return True


def command(action: CreateMongoIndex) -> dict[str, Any]:
    """The command that creates it.

    >>> command(CreateMongoIndex(collection="players", name="new", keys={"level": 1}, commit_quorum=1))
    {'createIndexes': 'players', 'indexes': [{'key': {'level': 1}, 'name': 'new'}], 'commitQuorum': 1}
    """
    index = {"key": dict(action.keys), "name": action.name, **action.options}
    found: dict[str, Any] = {"createIndexes": action.collection, "indexes": [index]}
    if action.commit_quorum is not None:
        found["commitQuorum"] = action.commit_quorum
    if action.write_concern is not None:
        found["writeConcern"] = dict(action.write_concern)
    return found

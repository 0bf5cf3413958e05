"""DropMongoIndex: an index of a collection of the replica set goes."""

from __future__ import annotations

from typing import Any

from harness.errors import StackError
from harness.model import DropMongoIndex
from harness.model.timeline import MONGO_PRIMARY
from harness.timeline.members import client_of, replica_set, resolve, run, run_on_primary
from harness.timeline.performer import Done, Performer, Scene

#: What a server says of an index beside its options.
_NO_OPTIONS = ("v", "ns")


class DroppingMongoIndex(Performer[DropMongoIndex]):
    """Drops an index, and creates it again with the options that it had."""

    def __init__(self, action: DropMongoIndex, scene: Scene, label: str) -> None:
        super().__init__(action, scene, label)
        self._index: dict[str, Any] | None = None

    async def act(self) -> Done:
        action, found = self.action, replica_set(self.scene.stack)
        (primary,) = await resolve(self.scene.stack, MONGO_PRIMARY)
        async with client_of(found, primary) as client:
            cursor = await client[found.database][action.collection].list_indexes()
            indexes = {index["name"]: dict(index) for index in await cursor.to_list()}
            if action.name not in indexes:
                raise StackError(f"{action.collection} has no index {action.name}; it has {', '.join(indexes)}")
            self._index = {key: value for key, value in indexes[action.name].items() if key not in _NO_OPTIONS}
            command: dict[str, Any] = {"dropIndexes": action.collection, "index": action.name}
            if action.write_concern is not None:
                command["writeConcern"] = dict(action.write_concern)
            await run(client, found.database, command)
        return Done(servers=(primary.name,))

    async def undo(self) -> bool:
        if self._index is None:
            return False
        # An index that is there already as asked for is no error: the drop did not come to its end.
        await run_on_primary(self.scene.stack, {"createIndexes": self.action.collection, "indexes": [self._index]})
        self._index = None
        return True

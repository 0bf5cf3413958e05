"""Failpoint: a failpoint of mongod on members of the replica set."""

from __future__ import annotations

from collections.abc import Mapping

from pymongo.errors import PyMongoError

from harness.errors import StackError
from harness.model import Failpoint
from harness.stack.mongo.members import Member
from harness.timeline.members import client_of, replica_set, resolve, run
from harness.timeline.performer import Done, Performer, Scene


class SettingFailpoint(Performer[Failpoint]):
    """Sets a failpoint, and sets it off over a connection to the member itself: a held one may not take part in the set."""

    def __init__(self, action: Failpoint, scene: Scene, label: str) -> None:
        super().__init__(action, scene, label)
        self._touched: list[Member] = []

    async def act(self) -> Done:
        action = self.action
        mode = dict(action.mode) if isinstance(action.mode, Mapping) else action.mode
        command: dict[str, object] = {"configureFailPoint": action.name, "mode": mode}
        if action.data:
            command["data"] = dict(action.data)
        found = await resolve(self.scene.stack, action.server)
        for member in found:
            self._touched.append(member)
            await self._configure(member, command)
        return Done(servers=tuple(member.name for member in found))

    async def undo(self) -> bool:
        had, failed = bool(self._touched), []
        for member in reversed(self._touched[:]):
            try:
                await self._configure(member, {"configureFailPoint": self.action.name, "mode": "off"})
                self._touched.remove(member)
            except PyMongoError as error:  # the other members are let go all the same
                failed.append(f"{member.name}: {error}")
        if failed:
            raise StackError(f"failpoint {self.action.name} may still be set: {'; '.join(failed)}")
        return had

    async def _configure(self, member: Member, command: Mapping[str, object]) -> None:
        async with client_of(replica_set(self.scene.stack), member) as client:
            await run(client, "admin", command)

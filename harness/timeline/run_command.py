"""RunCommand: a MongoDB command on members of the replica set."""

from __future__ import annotations

from collections.abc import Mapping

from harness.model import RunCommand
from harness.stack.mongo.members import Member
from harness.timeline.members import client_of, replica_set, resolve, run
from harness.timeline.performer import Done, Performer, Scene


class RunningCommand(Performer[RunCommand]):
    """Sends a command to each member directly, and the one that puts back what it changed to the same members."""

    def __init__(self, action: RunCommand, scene: Scene, label: str) -> None:
        super().__init__(action, scene, label)
        self._touched: list[Member] = []

    async def act(self) -> Done:
        found = await resolve(self.scene.stack, self.action.server)
        for member in found:
            self._touched.append(member)
            await self._send(member, self.action.command)
        return Done(servers=tuple(member.name for member in found))

    async def undo(self) -> bool:
        if self.action.undo is None or not self._touched:
            return False
        for member in reversed(self._touched[:]):
            await self._send(member, self.action.undo)
            self._touched.remove(member)
        return True

    async def _send(self, member: Member, command: Mapping[str, object]) -> None:
        found = replica_set(self.scene.stack)
        async with client_of(found, member) as client:
            await run(client, self.action.database or found.database, command)

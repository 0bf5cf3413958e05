"""AddReplica: one more streaming replica, which the application's readers then use."""

from __future__ import annotations

import time

from harness.model import AddReplica
from harness.stack.stack import Stack
from harness.timeline.performer import Done, Performer, in_thread

JOINED = "joined the readers"


class AddingReplica(Performer[AddReplica]):
    """Adds a replica. It stays until the stack is reset: a replica that went away would take its readers with it."""

    @classmethod
    def why_not(cls, action: AddReplica, stack: Stack) -> str | None:
        return stack.why_not("add_replica")

    async def act(self) -> Done:
        stack = self.scene.stack
        server = await in_thread(stack.add_replica)
        begun_s = time.monotonic()
        self.scene.use_readers([replica.dsn(user=replica.application_user) for replica in stack.replicas])
        stages = [(stage.name, stage.took_s) for stage in server.stages]
        return Done(servers=(server.name,), stages=(*stages, (JOINED, time.monotonic() - begun_s)))

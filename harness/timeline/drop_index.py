"""DropIndex: an index of the PostgreSQL primary goes."""

from __future__ import annotations

from harness.errors import StackError
from harness.model import DropIndex
from harness.model.timeline import POSTGRES
from harness.timeline.performer import Done, Performer, Scene
from harness.timeline.sql import quoted, session


class DroppingIndex(Performer[DropIndex]):
    """Drops an index, and creates it again from its definition."""

    def __init__(self, action: DropIndex, scene: Scene, label: str) -> None:
        super().__init__(action, scene, label)
        self._definition: str | None = None

    async def act(self) -> Done:
        name = quoted(self.action.name)
        async with session(self.scene.stack) as opened:
            self._definition = await opened.fetchval("SELECT pg_get_indexdef(to_regclass($1))", name)
            if not self._definition:
                self._definition = None
                raise StackError(f"there is no index {self.action.name}")
            await opened.execute(f"DROP INDEX {'CONCURRENTLY ' if self.action.concurrently else ''}{name}")
        return Done(servers=(POSTGRES,))

    async def undo(self) -> bool:
        if self._definition is None:
            return False
        async with session(self.scene.stack) as opened:
            valid = await opened.fetchval(
                "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", quoted(self.action.name)
            )
            if valid is False:  # DROP INDEX CONCURRENTLY was broken off half-way
                await opened.execute(f"DROP INDEX {quoted(self.action.name)}")
            if not valid:
                await opened.execute(self._definition)
        self._definition = None
        return True

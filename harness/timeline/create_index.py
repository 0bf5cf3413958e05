"""CreateIndex: an index on a table of the PostgreSQL primary."""

from __future__ import annotations

from harness.errors import StackError
from harness.model import CreateIndex
from harness.model.timeline import POSTGRES
from harness.timeline.performer import Done, Performer, Scene
from harness.timeline.sql import quoted, session


class CreatingIndex(Performer[CreateIndex]):
    """Creates an index, and drops it, also one that ``CONCURRENTLY`` left invalid."""

    def __init__(self, action: CreateIndex, scene: Scene, label: str) -> None:
        super().__init__(action, scene, label)
        self._begun = False
        # An index lies in the schema of its table.
        schema, _, _ = action.on.rpartition(".")
        self._full_name = quoted(f"{schema}.{action.name}" if schema else action.name)

    async def act(self) -> Done:
        async with session(self.scene.stack) as opened:
            if await opened.fetchval("SELECT to_regclass($1) IS NOT NULL", self._full_name):
                raise StackError(f"{self.action.name} is there already; name the index otherwise, or drop it first")
            self._begun = True
            await opened.execute(statement(self.action))
        return Done(servers=(POSTGRES,))

    async def undo(self) -> bool:
        if not self._begun:
            return False
        async with session(self.scene.stack) as opened:
            await opened.execute(f"DROP INDEX IF EXISTS {self._full_name}")
        self._begun = False
        return True


def statement(action: CreateIndex) -> str:
    """The statement that creates it.

    >>> statement(CreateIndex(name="by_owner", on="items", keys=("owner_id", "id DESC"), where="burned_at IS NULL"))
    'CREATE INDEX "by_owner" ON "items" (owner_id, id DESC) WHERE burned_at IS NULL'
    """
    unique = "UNIQUE " if action.unique else ""
    concurrently = "CONCURRENTLY " if action.concurrently else ""
    where = f" WHERE {action.where}" if action.where is not None else ""
    keys = ", ".join(action.keys)
    return f"CREATE {unique}INDEX {concurrently}{quoted(action.name)} ON {quoted(action.on)} ({keys}){where}"

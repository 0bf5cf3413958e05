"""RunSql: statements on a PostgreSQL server."""

from __future__ import annotations

from harness.model import RunSql
from harness.timeline.performer import Done, Performer, Scene
from harness.timeline.sql import Session, close, connect, session


class RunningSql(Performer[RunSql]):
    """Runs statements; ends the session that was kept open for them, and runs those that put back what they changed."""

    def __init__(self, action: RunSql, scene: Scene, label: str) -> None:
        super().__init__(action, scene, label)
        self._session: Session | None = None
        self._begun = False

    async def act(self) -> Done:
        opened = await connect(self.scene.stack, self.action.server)
        kept = False
        try:
            self._begun = True
            await opened.execute(self.action.sql)
            kept = self.action.keep_open
        finally:
            if kept:
                self._session = opened
            else:
                await close(opened)
        return Done(servers=(self.action.server,))

    async def undo(self) -> bool:
        had = self._begun and (self.action.undo is not None or self._session is not None)
        if self._session is not None:
            await close(self._session)
            self._session = None
        if self._begun and self.action.undo is not None:
            async with session(self.scene.stack, self.action.server) as opened:
                await opened.execute(self.action.undo)
        self._begun = False
        return had

"""FlushCache: a server's own cache is emptied."""

from __future__ import annotations

import asyncio

from harness.errors import StackError
from harness.model import FlushCache
from harness.model.timeline import POSTGRES
from harness.stack.stack import Server, Stack
from harness.timeline.performer import Done, Performer, Scene, in_thread
from harness.timeline.servers import resolve, why_not
from harness.timeline.sql import endpoint, session

#: pg_buffercache can evict buffers from version 17 on, all at once from 18.
EVICTS_SINCE = 170000
_ADMIN_DATABASE = "postgres"  # buffers are those of all databases, and the dataset's own is left as it is
_EXTENSION = "pg_buffercache"
_ALL = "SELECT buffers_evicted FROM pg_buffercache_evict_all()"
_EACH = (
    "SELECT count(*) FILTER (WHERE pg_buffercache_evict(bufferid)) FROM pg_buffercache WHERE relfilenode IS NOT NULL"
)
_LOOK_AGAIN_S = 0.05


class FlushingCache(Performer[FlushCache]):
    """Evicts a PostgreSQL's buffers, or restarts a server."""

    def __init__(self, action: FlushCache, scene: Scene, label: str) -> None:
        super().__init__(action, scene, label)
        self._stopped: list[Server] = []

    @classmethod
    def why_not(cls, action: FlushCache, stack: Stack) -> str | None:
        if action.restart:
            return why_not(stack, action.server, "stop", "start")
        version = stack.postgres.version_num if stack.postgres is not None else 0
        if version < EVICTS_SINCE:
            return (
                f"PostgreSQL {stack.postgres.version if stack.postgres else ''} cannot evict its buffers (17 and later "
                "can): take FlushCache(restart=True), or another version"
            )
        return None

    async def act(self) -> Done:
        stack, target = self.scene.stack, self.action.server
        if self.action.restart:
            servers = await resolve(stack, target)
            for server in servers:
                if server.down_on_purpose:
                    raise StackError(f"{server.name} is away already, by another step")
                self._stopped.append(server)
                await in_thread(server.stop)
                await in_thread(server.start)
                self._stopped.remove(server)
            return Done(servers=tuple(server.name for server in servers), note="restarted: its connections were ended")
        names = [replica.name for replica in stack.replicas] if target == "postgres-replicas" else [target]
        evicted = {name: await _evict(stack, name) for name in names}
        told = ", ".join(f"{count:,} of {name}" for name, count in evicted.items())
        return Done(servers=tuple(names), note=f"buffers evicted: {told}; the operating system's cache stays")

    async def undo(self) -> bool:
        for server in self._stopped[:]:
            if server.down_on_purpose:
                await in_thread(server.start)
            self._stopped.remove(server)
        return False


async def _evict(stack: Stack, server: str) -> int:
    """Evict a server's buffers; how many. The extension is on the server only meanwhile, unless it was there before."""
    async with session(stack, POSTGRES, _ADMIN_DATABASE) as primary:
        was_there = await primary.fetchval("SELECT count(*) FROM pg_extension WHERE extname = $1", _EXTENSION)
        if not was_there:
            await primary.execute(f"CREATE EXTENSION {_EXTENSION}")
        try:
            async with session(stack, server, _ADMIN_DATABASE) as opened:
                while not await opened.fetchval("SELECT count(*) FROM pg_extension WHERE extname = $1", _EXTENSION):
                    await asyncio.sleep(_LOOK_AGAIN_S)  # a replica has yet to replay it
                at_once = await opened.fetchval("SELECT to_regproc('pg_buffercache_evict_all') IS NOT NULL")
                await opened.execute("CHECKPOINT" if endpoint(stack, server).name == POSTGRES else "SELECT 1")
                return int(await opened.fetchval(_ALL if at_once else _EACH))
        finally:
            if not was_there:
                await primary.execute(f"DROP EXTENSION {_EXTENSION}")

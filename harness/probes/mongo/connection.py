"""A member as the probes reach it: directly, whatever its state, over few connections that are opened before the load.

They are told from everybody else's by their appName and left out of the application's figures by it. Time limits are short:
a member that does not answer is a gap of that member, and burdened no further.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from harness.stack.mongo.members import Member, ReplicaSet

APPLICATION_NAME = "flashcrowd-probe"
ANSWER_LIMIT_S = 1.0
UNAUTHORIZED = 13
#: The member's own probe, that of the replication, and the heartbeat may be under way at the same time.
MOST_CONNECTIONS = 3


class MemberConnection:
    """One member, and a client that talks to it alone.

    :ivar name: the member's label
    """

    def __init__(self, replica_set: ReplicaSet, member: Member) -> None:
        self.name = member.name
        limit_ms = round(ANSWER_LIMIT_S * 1000)
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            replica_set.uri_of(member),
            appname=APPLICATION_NAME,
            # All of them at once: a full server lets nobody in later.
            minPoolSize=MOST_CONNECTIONS,
            maxPoolSize=MOST_CONNECTIONS,
            serverSelectionTimeoutMS=limit_ms,
            connectTimeoutMS=limit_ms,
            socketTimeoutMS=limit_ms,
            # Streaming would hold a further connection, and an operation that always runs.
            serverMonitoringMode="poll",
            retryReads=False,
            retryWrites=False,
            tz_aware=True,
        )

    async def command(self, command: Mapping[str, Any], database: str = "admin") -> dict[str, Any]:
        """The answer to a command, whatever state the member is in.

        :raises pymongo.errors.PyMongoError: it refuses or does not answer
        """
        return await self._client[database].command(dict(command), codec_options=self._client.codec_options)

    async def operations(self, pipeline: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """What ``$currentOp`` says, idle connections included, through further stages.

        :raises pymongo.errors.PyMongoError: it refuses or does not answer
        """
        current = {"$currentOp": {"allUsers": True, "idleConnections": True, "idleSessions": False}}
        async with await self._client.admin.aggregate([current, *pipeline]) as cursor:
            return await cursor.to_list()

    def collection(self, database: str, name: str) -> AsyncCollection[dict[str, Any]]:
        """A collection on this member."""
        return self._client[database][name]

    async def close(self) -> None:
        """Close its connections; a second call does nothing."""
        await self._client.close()

"""Sessions of the timeline on a PostgreSQL server: opened when a step needs one, seen by the probes as anybody's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg

from harness.errors import StackError
from harness.model.timeline import POSTGRES
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.stack import Stack

APPLICATION_NAME = "flashcrowd-timeline"
CONNECT_LIMIT_S = 10.0
CLOSE_LIMIT_S = 2.0

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


def endpoint(stack: Stack, server: str) -> Endpoint:
    """Where a PostgreSQL server of the stack is.

    :raises StackError: it has none of that name
    """
    servers = {one.name: one for one in (stack.postgres, *stack.replicas) if one is not None}
    if server not in servers:
        raise StackError(f"there is no PostgreSQL {server} now; there are {', '.join(servers) or 'none'}")
    return servers[server]


async def connect(stack: Stack, server: str = POSTGRES, database: str | None = None) -> Session:
    """A new session of the role for administration, in autocommit.

    :raises OSError: the server cannot be reached; :class:`asyncpg.PostgresError` where it refuses
    """
    return await asyncpg.connect(
        endpoint(stack, server).dsn(database=database),
        timeout=CONNECT_LIMIT_S,
        server_settings={"application_name": APPLICATION_NAME},
    )


async def close(session: Session) -> None:
    """End a session; one whose server does not answer is dropped."""
    try:
        await session.close(timeout=CLOSE_LIMIT_S)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        session.terminate()
    except asyncio.CancelledError:
        session.terminate()
        raise


@asynccontextmanager
async def session(stack: Stack, server: str = POSTGRES, database: str | None = None) -> AsyncIterator[Session]:
    """A session that is ended on every path; a statement of it that is cancelled is cancelled at the server too."""
    opened = await connect(stack, server, database)
    try:
        yield opened
    finally:
        await close(opened)


def quoted(name: str) -> str:
    """A name, perhaps with its schema, as SQL has it.

    >>> quoted("public.items"), quoted('odd"name')
    ('"public"."items"', '"odd""name"')
    """
    return ".".join(f'"{part.replace(chr(34), chr(34) * 2)}"' for part in name.split("."))

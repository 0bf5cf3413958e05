"""Members of a replica set, each asked directly: who is primary at this moment, and commands to one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from harness.errors import StackError
from harness.model.timeline import MONGO_PRIMARY, MONGO_SECONDARIES
from harness.stack.mongo import Member, ReplicaSet
from harness.stack.stack import Stack

APPLICATION_NAME = "flashcrowd-timeline"
ANSWER_LIMIT_S = 2.0  # a member that is paused never answers, and the others must be asked all the same
#: An election takes a second or two with the settings of ours, ten with those of a server that was never told.
ELECTION_LIMIT_S = 15.0
_LOOK_AGAIN_S = 0.1

Document = dict[str, Any]


def replica_set(stack: Stack) -> ReplicaSet:
    """The stack's replica set.

    :raises StackError: there is none
    """
    if stack.mongo is None:
        raise StackError("the stack has no MongoDB")
    return stack.mongo


@asynccontextmanager
async def client_of(found: ReplicaSet, member: Member) -> AsyncIterator[AsyncMongoClient[Document]]:
    """A client of one member, whatever its state, closed on every path."""
    client: AsyncMongoClient[Document] = AsyncMongoClient(
        found.uri_of(member),
        appname=APPLICATION_NAME,
        serverSelectionTimeoutMS=round(ANSWER_LIMIT_S * 1000),
        connectTimeoutMS=round(ANSWER_LIMIT_S * 1000),
        retryReads=False,
        retryWrites=False,
    )
    try:
        yield client
    finally:
        await client.close()


async def hello(found: ReplicaSet, member: Member) -> Document | None:
    """What a member says of itself; None where it does not answer."""
    with suppress(PyMongoError, TimeoutError):
        async with asyncio.timeout(2 * ANSWER_LIMIT_S), client_of(found, member) as client:
            return await client.admin.command("hello")
    return None


async def resolve(stack: Stack, target: str) -> tuple[Member, ...]:
    """The members that a name or role means at this moment.

    :raises StackError: no member is it
    """
    found = replica_set(stack)
    if target not in (MONGO_PRIMARY, MONGO_SECONDARIES):
        named = tuple(member for member in found.members if member.name == target)
        if not named:
            raise StackError(f"the replica set has no member {target}")
        return named
    said: list[Document | None] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(ELECTION_LIMIT_S):
            while True:
                said = list(await asyncio.gather(*(hello(found, member) for member in found.members)))
                key = "isWritablePrimary" if target == MONGO_PRIMARY else "secondary"
                those = tuple(m for m, told in zip(found.members, said, strict=True) if told and told.get(key))
                if those:
                    return those
                await asyncio.sleep(_LOOK_AGAIN_S)
    what = "primary" if target == MONGO_PRIMARY else "secondary"
    states = ", ".join(
        f"{member.name} {'answers' if told else 'does not answer'}"
        for member, told in zip(found.members, said or [None] * len(found.members), strict=True)
    )
    raise StackError(f"no member of the replica set was {what} within {ELECTION_LIMIT_S:.0f} s: {states}")


async def run(client: AsyncMongoClient[Document], database: str, command: Mapping[str, Any]) -> Document:
    """What a member answers to a command.

    :raises StackError: done, but not replicated as its write concern asks
    :raises PyMongoError: refused
    """
    of_command: AsyncDatabase[Document] = client[database]
    answer = await of_command.command(dict(command))
    if error := answer.get("writeConcernError"):
        raise StackError(f"done, but not replicated as asked: {error.get('errmsg', error)}")
    return answer


async def run_on_primary(stack: Stack, command: Mapping[str, Any]) -> tuple[Member, Document]:
    """Run a command on who is primary now, in the dataset's database."""
    found = replica_set(stack)
    (primary,) = (await resolve(stack, MONGO_PRIMARY))[:1]
    async with client_of(found, primary) as client:
        return primary, await run(client, found.database, command)

"""Members of a replica set, each asked directly: who is primary at this moment, and commands to one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from harness.errors import StackError
from harness.model.timeline import MONGO_PRIMARY, MONGO_SECONDARIES
from harness.stack.mongo.members import Member, ReplicaSet
from harness.stack.stack import Stack

APPLICATION_NAME = "flashcrowd-timeline"
#: Of reaching a member.
ANSWER_LIMIT_S = 2.0  # a member that is paused never answers, and the others must be asked all the same
#: A member that is well answers within it.
QUICK_S = 0.5
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
    client: AsyncMongoClient[Document] = AsyncMongoClient(found.uri_of(member), **_options())
    try:
        yield client
    finally:
        await client.close()


def hello(found: ReplicaSet, member: Member) -> Document | None:
    """What a member says of itself; None where it does not answer. Blocks: the asynchronous client, closed while it tries to
    reach a member that is gone, leaves a socket open."""
    client: MongoClient[Document] = MongoClient(found.uri_of(member), **_options())
    try:
        return client.admin.command("hello")
    except PyMongoError:
        return None
    finally:
        client.close()


async def _ask_all(found: ReplicaSet, *, until_primary: bool) -> dict[str, Document]:
    """What the members say of themselves, by name; those that do not answer are left out.

    :param until_primary: not to wait for one that is slow or hangs when a primary is among the others
    """
    asking = {asyncio.ensure_future(asyncio.to_thread(hello, found, member)): member.name for member in found.members}
    try:
        quick, slow = await asyncio.wait(asking, timeout=QUICK_S)
        if slow and not (until_primary and any((one.result() or {}).get("isWritablePrimary") for one in quick)):
            await asyncio.wait(slow)
        answers = {name: one.result() for one, name in asking.items() if one.done()}
    finally:
        for one in asking:
            one.cancel()
    return {name: answer for name, answer in answers.items() if answer is not None}


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
    said: dict[str, Document] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(ELECTION_LIMIT_S):
            while True:
                said = await _ask_all(found, until_primary=target == MONGO_PRIMARY)
                key = "isWritablePrimary" if target == MONGO_PRIMARY else "secondary"
                those = [member for member in found.members if said.get(member.name, {}).get(key)]
                if those and target == MONGO_PRIMARY:
                    # One that was cut off may not know yet that another was elected since.
                    return (max(those, key=lambda member: str(said[member.name].get("electionId", ""))),)
                if those:
                    return tuple(those)
                await asyncio.sleep(_LOOK_AGAIN_S)
    what = "primary" if target == MONGO_PRIMARY else "secondary"
    states = ", ".join(
        f"{member.name} {'answers' if member.name in said else 'does not answer'}" for member in found.members
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
    (primary,) = await resolve(stack, MONGO_PRIMARY)
    async with client_of(found, primary) as client:
        return primary, await run(client, found.database, command)


def _options() -> dict[str, Any]:
    limit_ms = round(ANSWER_LIMIT_S * 1000)
    return {
        "appname": APPLICATION_NAME,
        "serverSelectionTimeoutMS": limit_ms,
        "connectTimeoutMS": limit_ms,
        "serverMonitoringMode": "poll",  # one connection of its own less
        "retryReads": False,
        "retryWrites": False,
    }

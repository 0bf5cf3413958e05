"""Servers of a stack by name or role, and actions that consist in calling methods of their handles."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import ClassVar, Protocol, TypeVar

from harness.errors import StackError
from harness.model.timeline import MONGO_PRIMARY, MONGO_SECONDARIES, POSTGRES_REPLICAS
from harness.stack.stack import Role, Server, Stack
from harness.timeline import members
from harness.timeline.performer import FAILURES, Done, Performer, in_thread


class OnServer(Protocol):
    """An action that names a server."""

    @property
    def server(self) -> str:
        """Name or role."""


_S = TypeVar("_S", bound=OnServer)


def candidates(stack: Stack, target: str) -> list[Server]:
    """The servers that a name or role can mean during a run, as far as they are there already."""
    roles = {POSTGRES_REPLICAS: Role.READER, MONGO_PRIMARY: Role.MEMBER, MONGO_SECONDARIES: Role.MEMBER}
    if target in roles:
        return [server for server in stack.servers.values() if server.role is roles[target]]
    if target in stack.services:
        return [stack.servers[instance.name] for instance in stack.services[target]]
    found = stack.servers.get(target)
    return [] if found is None else [found]


async def resolve(stack: Stack, target: str) -> list[Server]:
    """The servers that a name or role means at this moment.

    :raises StackError: none is it
    """
    if target in (MONGO_PRIMARY, MONGO_SECONDARIES):
        names = [member.name for member in await members.resolve(stack, target)]
        found = [stack.servers[name] for name in names if name in stack.servers]
    else:
        found = candidates(stack, target)
    if not found:
        raise StackError(f"there is no server {target} now; there are {', '.join(stack.servers) or 'none'}")
    return found


def why_not(stack: Stack, target: str, *methods: str) -> str | None:
    """Why a provider cannot do something to servers; None if it can, or if they are yet to come."""
    found = candidates(stack, target)
    if not found and target in _known(stack):
        return (
            f"the provider has no hold on {target}: it can be reached, but not stopped or changed; "
            "take --stack docker or --stack embedded, or do it with RunProgram"
        )
    for server in found:
        for method in methods:
            if why := server.why_not(method):
                return f"{server.name}: {why}"
    return None


def _known(stack: Stack) -> list[str]:
    """Names and roles of what the stack says there is, whether or not it can be acted upon."""
    names = [endpoint.name for endpoint in (stack.postgres, *stack.replicas) if endpoint is not None]
    if stack.replicas:
        names.append(POSTGRES_REPLICAS)
    if stack.mongo is not None:
        names += [member.name for member in stack.mongo.members]
        names += [MONGO_PRIMARY, MONGO_SECONDARIES]
    for service, instances in stack.services.items():
        names += [service, *(instance.name for instance in instances)]
    return names


class OnServers(Performer[_S]):
    """Calls one method of each server's handle, and another to undo it."""

    METHODS: ClassVar[tuple[str, ...]]
    #: Whether a server that is away on purpose already is in its way.
    WANTS_UP: ClassVar[bool] = True

    _touched: list[Server]

    @classmethod
    def why_not(cls, action: _S, stack: Stack) -> str | None:
        return why_not(stack, action.server, *cls.METHODS)

    @abstractmethod
    def do(self, server: Server) -> None:
        """Do it to one server; blocks."""

    @abstractmethod
    def put_back(self, server: Server) -> None:
        """Undo it on one server; blocks."""

    async def act(self) -> Done:
        found = await resolve(self.scene.stack, self.action.server)
        for server in found:
            if self.WANTS_UP and server.down_on_purpose:
                raise StackError(f"{server.name} is away already, by another step")
        self._touched = found
        outcomes = await asyncio.gather(*(in_thread(self.do, server) for server in found), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
        return Done(servers=tuple(server.name for server in found))

    async def undo(self) -> bool:
        touched: list[Server] = getattr(self, "_touched", [])
        had = bool(touched)
        failed: list[Exception] = []
        for server in reversed(touched[:]):
            try:
                await in_thread(self.put_back, server)
                touched.remove(server)
            except FAILURES as error:  # the others are put back all the same
                failed.append(error)
        if failed:
            raise StackError("; ".join(map(str, failed))) from failed[0]
        return had

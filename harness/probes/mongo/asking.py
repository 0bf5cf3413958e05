"""Asks all members the same at once. One that did not answer the last time is asked again, but not waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from pymongo.errors import OperationFailure, PyMongoError

from harness.probes.mongo.connection import UNAUTHORIZED, MemberConnection

T = TypeVar("T")
#: What the slowest of those that answered the last time gets; the tick of the others is late by no more than this.
WAIT_S = 0.6


class Asking(Generic[T]):
    """One question, put to each member again and again; never twice to one at the same time.

    :param question: what a failure of it is, PyMongoError or OSError, is no answer
    """

    def __init__(
        self, members: Mapping[str, MemberConnection], question: Callable[[MemberConnection], Awaitable[T]]
    ) -> None:
        self._members, self._question = members, question
        self._under_way: dict[str, asyncio.Task[T]] = {}
        self._silent: set[str] = set()

    async def ask(self) -> dict[str, T]:
        """Who answers, and what.

        :raises pymongo.errors.OperationFailure: nobody answers, because our user may not ask it
        """
        for name, member in self._members.items():
            if name not in self._under_way:
                self._under_way[name] = asyncio.create_task(self._put(member), name=f"question to {name}")
        awaited = [task for name, task in self._under_way.items() if name not in self._silent]
        # Where nobody answered the last time there is nothing to hold up.
        await asyncio.wait(awaited or self._under_way.values(), timeout=WAIT_S)
        answers = {}
        refusal: OperationFailure | None = None
        for name, task in list(self._under_way.items()):
            if not task.done():
                self._silent.add(name)
                continue
            del self._under_way[name]
            try:
                answer = task.result()
            except (PyMongoError, OSError) as error:
                self._silent.add(name)
                if isinstance(error, OperationFailure) and error.code == UNAUTHORIZED:
                    refusal = error
                continue
            # What was not waited for may be as old as the last tick.
            if not awaited or name not in self._silent:
                answers[name] = answer
            self._silent.discard(name)
        if refusal is not None and not answers:
            raise refusal
        return answers

    async def close(self) -> None:
        """Give up on what is under way."""
        under_way = list(self._under_way.values())
        self._under_way.clear()
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _put(self, member: MemberConnection) -> T:
        return await self._question(member)

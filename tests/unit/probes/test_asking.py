"""A member that is silent holds up nobody twice, and its late answer is not taken for a fresh one."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import pytest
from pymongo.errors import AutoReconnect, OperationFailure

from harness.probes.mongo import asking
from harness.probes.mongo.asking import Asking
from harness.probes.mongo.connection import MemberConnection


class Members:
    """Members of which some hang and some fail."""

    def __init__(self, *names: str) -> None:
        self.connections = {name: cast(MemberConnection, name) for name in names}
        self.hanging: dict[str, asyncio.Event] = {}
        self.failing: set[str] = set()
        self.refusing: set[str] = set()
        self.asked: list[str] = []

    async def answer(self, member: Any) -> str:
        self.asked.append(member)
        if member in self.hanging:
            await self.hanging[member].wait()
        if member in self.failing:
            raise AutoReconnect("gone")
        if member in self.refusing:
            raise OperationFailure("not authorized", 13)
        return f"answer {len(self.asked)}"


async def test_who_hangs_is_waited_for_once_and_not_asked_again_meanwhile() -> None:
    members = Members("a", "b")
    members.hanging["b"] = asyncio.Event()
    question = Asking(members.connections, members.answer)
    assert set(await question.ask()) == {"a"}
    began_s = time.monotonic()
    for _ in range(3):
        assert set(await question.ask()) == {"a"}
    assert time.monotonic() - began_s < asking.WAIT_S
    assert members.asked.count("b") == 1
    members.hanging.pop("b").set()
    await asyncio.sleep(0)
    # What it says now was asked long ago.
    assert set(await question.ask()) == {"a"}
    assert set(await question.ask()) == {"a", "b"}
    await question.close()


async def test_who_fails_is_asked_again_at_every_turn() -> None:
    members = Members("a", "b")
    members.failing.add("b")
    question = Asking(members.connections, members.answer)
    for _ in range(3):
        assert set(await question.ask()) == {"a"}
    members.failing.clear()
    await question.ask()
    assert set(await question.ask()) == {"a", "b"}
    assert members.asked.count("b") == 5


async def test_when_all_are_silent_the_first_to_answer_is_heard_at_once() -> None:
    members = Members("a")
    members.failing.add("a")
    question = Asking(members.connections, members.answer)
    assert await question.ask() == {}
    members.failing.clear()
    assert set(await question.ask()) == {"a"}


async def test_nothing_is_under_way_after_it_was_closed() -> None:
    members = Members("a")
    members.hanging["a"] = asyncio.Event()
    question = Asking(members.connections, members.answer)
    assert await question.ask() == {}
    await question.close()
    assert {task for task in asyncio.all_tasks() if task.get_name().startswith("question")} == set()


async def test_a_user_who_may_not_ask_anybody_is_told() -> None:
    members = Members("a", "b")
    members.refusing, members.failing = {"a"}, {"b"}
    question = Asking(members.connections, members.answer)
    with pytest.raises(OperationFailure, match="not authorized"):
        await question.ask()
    await question.close()

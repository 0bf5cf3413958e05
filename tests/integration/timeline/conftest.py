"""Actions on real servers, one by one: carried out and undone as the conductor does, looked at over connections of the tests' own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.model import Action
from harness.stack.stack import Stack
from harness.timeline.performer import Performer, Scene
from harness.timeline.performers import PERFORMERS, performer

LIMIT_S = 90.0


class Actions:
    """Makes performers on a stack.

    :ivar readers: what the load was told of replicas
    """

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.readers: list[list[str]] = []
        self.stack = stack
        self.scene = Scene(
            stack=stack,
            use_readers=lambda dsns: self.readers.append(list(dsns)),
            incident_folder=folder,
            logs=folder / "logs",
        )

    def of(self, action: Action) -> Performer[Any]:
        """Who carries out an action, which the stack must let be done."""
        assert PERFORMERS[type(action)].why_not(action, self.stack) is None
        return performer(action, self.scene, "timeline-1")


@pytest.fixture
def on(tmp_path: Path) -> Callable[[Stack], Actions]:
    """Makes :class:`Actions` on a stack."""
    return lambda stack: Actions(stack, tmp_path)


async def until(true: Callable[[], object], what: str) -> None:
    """Wait until something is true, while tasks go on."""
    try:
        async with asyncio.timeout(LIMIT_S):
            while not await asyncio.to_thread(true):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"waited {LIMIT_S:.0f} s for this: {what}") from None


async def broken_off(act: asyncio.Task[object]) -> None:
    """Cancel an action that is under way, and wait until it has ended."""
    act.cancel()
    with pytest.raises(asyncio.CancelledError):
        await act

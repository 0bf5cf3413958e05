"""What an action is made of: whether it can be done here, doing it, undoing it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

import asyncpg
import psutil
from pymongo.errors import PyMongoError

from harness.errors import StackError
from harness.stack.stack import Stack

#: What an action may fail with; anything else is a defect of ours and breaks the run.
FAILURES: tuple[type[Exception], ...] = (
    StackError,
    OSError,  # TimeoutError and refused connections among them
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    PyMongoError,
    psutil.Error,
)
#: A call into a server's handle cannot be stopped; whoever is to go on meanwhile waits so long for it.
THREAD_PATIENCE_S = 30.0

_A = TypeVar("_A")
_T = TypeVar("_T")
_P = ParamSpec("_P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What actions have to work with.

    :param use_readers: tells the load's workers the addresses of all replicas that take reads
    :param environment: the servers' addresses, for programs
    :param incident_folder: working folder of programs
    :param logs: gets what programs print
    """

    stack: Stack
    use_readers: Callable[[Sequence[str]], None]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    incident_folder: Path
    logs: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What an action did.

    :param servers: names of the servers that it was done to
    :param stages: name and seconds of each of its parts, in order
    :param note: what else there is to know
    """

    servers: tuple[str, ...] = ()
    stages: tuple[tuple[str, float], ...] = ()
    note: str = ""


class Performer(ABC, Generic[_A]):
    """Carries out one action, for one step of one run."""

    def __init__(self, action: _A, scene: Scene, label: str) -> None:
        """``label`` tells this step from others, in names of files and sessions."""
        self.action, self.scene, self.label = action, scene, label

    @classmethod
    def why_not(cls, action: _A, stack: Stack) -> str | None:
        """Why it cannot be done on this stack, and what to do; None if it can. Changes nothing."""
        return None

    @abstractmethod
    async def act(self) -> Done:
        """Do it; returns when it is done. Cancelled when its time is over.

        :raises StackError: it cannot be done; or another of :data:`FAILURES`
        """

    async def undo(self) -> bool:
        """Put back as much as :meth:`act` changed, whether or not that came to its end; may be called again.

        :returns: whether there was something to put back
        :raises StackError: it cannot be put back; or another of :data:`FAILURES`
        """
        return False


async def in_thread(call: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    """The result of a call that blocks. Cancelled, it waits for the call all the same: what would be undone while it goes
    on would be done again behind the undoing's back.
    """
    calling = asyncio.ensure_future(asyncio.to_thread(call, *arguments, **named))
    _calls.add(calling)
    calling.add_done_callback(_calls.discard)
    try:
        return await asyncio.shield(calling)
    except asyncio.CancelledError:
        await asyncio.wait({calling}, timeout=THREAD_PATIENCE_S)
        if calling.done() and not calling.cancelled():
            calling.exception()  # is known to whoever asks the server; nobody waits for it any more
        raise


def calls_under_way() -> int:
    """How many calls of :func:`in_thread` have not come back, those that nobody waits for any more among them."""
    return len(_calls)


_calls: set[asyncio.Future[Any]] = set()

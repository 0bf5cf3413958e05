"""Wakes the crowd at a due time, to some tens of microseconds where the system has timerfd, else to a millisecond.

uvloop's own timers count whole milliseconds, which is coarser than a select takes. A timerfd on CLOCK_MONOTONIC is an
ordinary readable descriptor to the loop and expires at an absolute nanosecond.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from time import monotonic_ns as now_ns

#: uvloop's timers may fire early; a shorter sleep would spin.
LEAST_SLEEP_S = 0.001
_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1  # TFD_TIMER_ABSTIME


class _Timerspec(ctypes.Structure):
    """struct itimerspec: the interval, which stays 0, and the time of expiry."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Alarm:
    """One alarm clock, for one coroutine at a time; made and used on the loop's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rings: asyncio.Future[None] | None = None
        self._spec = _Timerspec()
        self._fd = -1
        if sys.platform == "linux":
            # PyDLL keeps the interpreter: these calls never block, and giving it up would cost more than they do.
            self._libc = ctypes.PyDLL(None, use_errno=True)
            self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
            if self._fd >= 0:
                self._loop.add_reader(self._fd, self._ring)

    async def at(self, due_ns: int) -> None:
        """Return at ``due_ns`` of CLOCK_MONOTONIC, never before."""
        if self._fd < 0:
            await sleep_until(due_ns)
            return
        while now_ns() < due_ns:
            self._rings = self._loop.create_future()
            self._spec.value_s, self._spec.value_ns = divmod(due_ns, 10**9)
            # Setting it anew also makes the descriptor unreadable again, so nothing has to be read from it.
            if self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(self._spec), None) != 0:
                raise OSError(ctypes.get_errno(), "timerfd_settime")
            await self._rings

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _ring(self) -> None:
        if self._rings is not None and not self._rings.done():
            self._rings.set_result(None)
        else:
            os.read(self._fd, 8)  # nobody waits (any more): it must not stay readable


async def sleep_until(due_ns: int) -> None:
    """Return at ``due_ns`` of CLOCK_MONOTONIC or up to two milliseconds later, never before."""
    while (wait_ns := due_ns - now_ns()) > 0:
        await asyncio.sleep(max(wait_ns / 1e9, LEAST_SLEEP_S))

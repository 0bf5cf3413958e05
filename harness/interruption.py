"""Ctrl-C and SIGTERM: the first ends the load in order, the second ends everything at once.

Both leave nothing behind; only the first leaves a verdict (unknown) and a report.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether somebody asked to stop.

    :ivar requested: set by the first signal
    :ivar means: what the first signal does at this moment, told to who sent it
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._event = asyncio.Event()
        self._say = say
        self.means = "giving up before the traffic begins"

    @property
    def requested(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Until somebody asks to stop."""
        await self._event.wait()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals for the current task, which a second one cancels."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def received(number: signal.Signals) -> None:
            if self.requested:
                self._say(f"{number.name} again: ending at once")
                if task is not None:
                    task.cancel()
            else:
                self._say(f"{number.name}: {self.means}; once more ends at once")
                self._event.set()

        for number in SIGNALS:
            loop.add_signal_handler(number, received, number)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

"""What a probe is: something that can be asked for its samples, again and again, and may fail at it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import asyncpg
import psutil
from pymongo.errors import PyMongoError

from harness.model import Sample


class Unmeasured(Exception):
    """A probe could not measure this time, and knows why: a gap, no defect. The message is for people and has no figures that change."""


class Probe(Protocol):
    """Samples one thing. A probe is never asked twice at the same time.

    What it raises of :data:`FAILURES` is a gap in its series; anything else is a defect of ours and ends the sampling.
    """

    @property
    def name(self) -> str:
        """Stands beside every tick in the run folder."""

    async def sample(self, at_s: float) -> Sequence[Sample]:
        """Measure now. ``at_s`` is now in seconds since the origin: the time that the samples bear."""

    async def close(self) -> None:
        """Release what it holds; a second call does nothing."""


#: What measuring may fail with when the thing measured is slow, full, restarting or gone.
FAILURES: tuple[type[Exception], ...] = (
    Unmeasured,
    OSError,  # TimeoutError and refused connections among them
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    PyMongoError,
    psutil.Error,
)

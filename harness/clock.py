"""Time of a run: monotonic nanoseconds since its origin, with one wall-clock anchor.

The origin is the moment at which the traffic begins (time 0 of every chart). CLOCK_MONOTONIC is the same in every
process of one machine, so workers, probes and timeline share it without talking.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

now_ns = time.monotonic_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a run's time 0 lies.

    :param monotonic_ns: CLOCK_MONOTONIC at the origin
    :param wall_s: seconds since the Unix epoch at the origin, for matching server logs
    """

    monotonic_ns: int
    wall_s: float

    @classmethod
    def after(cls, delay_s: float) -> Origin:
        """The origin that lies ``delay_s`` from now."""
        return cls(monotonic_ns=now_ns() + round(delay_s * 1e9), wall_s=time.time() + delay_s)

    def at_s(self) -> float:
        """Seconds since the origin, now; negative before it."""
        return self.from_monotonic(now_ns())

    def from_monotonic(self, at_ns: int) -> float:
        """Seconds since the origin of a time of CLOCK_MONOTONIC."""
        return (at_ns - self.monotonic_ns) / 1e9

    def from_wall(self, wall_s: float) -> float:
        """Seconds since the origin of a wall-clock time, as server logs have it."""
        return wall_s - self.wall_s

    def utc(self) -> datetime:
        """The origin as wall-clock time in UTC."""
        return datetime.fromtimestamp(self.wall_s, UTC)

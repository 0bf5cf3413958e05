"""Ticks the probes on an absolute schedule, and says so where a tick was missed.

Tick number n is due at n intervals after the origin (negative before it). Each probe follows the schedule by itself: one that is
slow or stuck delays none of the others. Two ticks of a probe never overlap. A tick that failed, ran into its time limit, or was
not begun within its interval is *missed*; misses in a row are one gap with an event at its begin and one at its end, and
nothing is ever recorded in place of what was not measured.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from harness.clock import Origin
from harness.errors import UsageError
from harness.model import Event, Sample
from harness.probes.probe import FAILURES, Probe
from harness.record.writer import EventWriter, SampleWriter

MIN_INTERVAL_S = 0.1  # the probes' own cost stays below a few per cent of a core up to here
MAX_INTERVAL_S = 60.0  # rarer, and no criterion with "for" could be held against the series
MIN_TIME_LIMIT_S = 1.0  # a server under full load may well take longer than a tenth of a second
STOP_LIMIT_S = 1.0  # what a tick in flight still gets once sampling is to stop
LATE = "not begun in time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One probe's answer.

    :param at_s: when it was asked, seconds since the origin
    :param took_s: how long the answer took
    """

    probe: str
    at_s: float
    took_s: float
    samples: Sequence[Sample]


@dataclass(slots=True)
class _Gap:
    """A gap that has not ended yet."""

    kind: str
    reason: str
    from_s: float
    missed: int


class Sampler:
    """Asks each probe at an interval and appends what it says to the run folder.

    :param interval_s: 0.1 to 60
    :param on_tick: called after each tick that succeeded, in the event loop
    :raises UsageError: an interval out of bounds
    """

    def __init__(
        self,
        probes: Sequence[Probe],
        samples: SampleWriter,
        events: EventWriter,
        origin: Origin,
        interval_s: float = 1.0,
        *,
        on_tick: Callable[[Tick], None] | None = None,
    ) -> None:
        if not MIN_INTERVAL_S <= interval_s <= MAX_INTERVAL_S:
            raise UsageError(
                f"interval {interval_s:g} s: must be {MIN_INTERVAL_S:g} to {MAX_INTERVAL_S:g} s, such as --interval 1s"
            )
        self._probes = tuple(probes)
        self._samples = samples
        self._events = events
        self._origin = origin
        self._interval_s = interval_s
        self._limit_s = max(interval_s, MIN_TIME_LIMIT_S)
        self._on_tick = on_tick
        self._latest: dict[str, Tick] = {}
        self._gaps: dict[str, _Gap] = {}
        self._deadlines: dict[str, asyncio.Timeout] = {}
        self._following: tuple[asyncio.TaskGroup, asyncio.Event] | None = None

    @property
    def latest(self) -> Mapping[str, Tick]:
        """Each probe's last tick, by name; a probe that is in a gap is absent. A copy, so other threads may ask."""
        return dict(self._latest)

    def add(self, probe: Probe) -> None:
        """From now on ask this one too, such as that of a server that joined."""
        self._probes = (*self._probes, probe)
        if self._following is not None:
            group, stop = self._following
            group.create_task(self._follow(probe, stop), name=f"probe {probe.name}")

    async def run(self, stop: asyncio.Event) -> None:
        """Sample until ``stop`` is set; gaps still open then are ended.

        :raises RecordingError: the run folder cannot be written
        """
        hurry = asyncio.create_task(self._hurry(stop))
        try:
            async with asyncio.TaskGroup() as group:
                for probe in self._probes:
                    group.create_task(self._follow(probe, stop), name=f"probe {probe.name}")
                self._following = (group, stop)
                try:
                    await stop.wait()  # while this waits the group takes further ones
                finally:
                    self._following = None
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None  # the first says what went wrong; the others were only cancelled
        finally:
            hurry.cancel()
            with suppress(asyncio.CancelledError):
                await hurry
            self._end_gaps()

    async def once(self) -> None:
        """One tick of every probe, now: the first or the last reading. Not while :meth:`run` is running."""
        await asyncio.gather(*(self._tick(probe, self._origin.at_s()) for probe in self._probes))
        self._end_gaps()

    async def _follow(self, probe: Probe, stop: asyncio.Event) -> None:
        number = math.floor(self._origin.at_s() / self._interval_s) + 1
        while await self._reached(number * self._interval_s, stop):
            # A timer may fire a moment early, never mind: the tick is then still this number.
            current = max(number, math.floor(self._origin.at_s() / self._interval_s))
            if current > number:
                self._miss(probe.name, LATE, LATE, number * self._interval_s, current - number)
            await self._tick(probe, current * self._interval_s)
            number = current + 1

    async def _reached(self, due_s: float, stop: asyncio.Event) -> bool:
        """Wait until a time; False if sampling is to stop."""
        wait_s = due_s - self._origin.at_s()
        if wait_s > 0 and not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait_s)
        return not stop.is_set()

    async def _tick(self, probe: Probe, due_s: float) -> None:
        began_s = self._origin.at_s()
        try:
            async with asyncio.timeout(self._limit_s) as deadline:
                self._deadlines[probe.name] = deadline
                samples = await probe.sample(began_s)
        except FAILURES as error:
            kind, reason = _described(error, self._limit_s)
            self._miss(probe.name, kind, reason, due_s, 1)
            return
        finally:
            self._deadlines.pop(probe.name, None)
        took_s = self._origin.at_s() - began_s
        self._end_gap(probe.name, began_s)
        self._samples.append(probe.name, began_s, took_s, samples)
        tick = Tick(probe=probe.name, at_s=began_s, took_s=took_s, samples=samples)
        self._latest[probe.name] = tick
        if self._on_tick is not None:
            self._on_tick(tick)

    async def _hurry(self, stop: asyncio.Event) -> None:
        """When sampling is to stop, shorten what ticks in flight may still take."""
        await stop.wait()
        soon = asyncio.get_running_loop().time() + STOP_LIMIT_S
        for deadline in self._deadlines.values():
            when = deadline.when()
            if not deadline.expired() and (when is None or when > soon):
                deadline.reschedule(soon)

    def _miss(self, probe: str, kind: str, reason: str, due_s: float, count: int) -> None:
        self._latest.pop(probe, None)
        gap = self._gaps.get(probe)
        # Ticks that went by while a failing one was waited for belong to its gap, whatever it was.
        if gap is not None and kind in (gap.kind, LATE):
            gap.missed += count
            return
        self._end_gap(probe, due_s)
        self._gaps[probe] = _Gap(kind=kind, reason=reason, from_s=due_s, missed=count)
        fields = {"probe": probe, "reason": reason, "edge": "begin"}
        self._events.append(Event(at_s=due_s, kind="gap", text=f"{probe} is not measured: {reason}", fields=fields))

    def _end_gap(self, probe: str, at_s: float) -> None:
        gap = self._gaps.pop(probe, None)
        if gap is None:
            return
        for_s = round(max(0.0, at_s - gap.from_s), 6)
        fields = {
            "probe": probe,
            "reason": gap.reason,
            "edge": "end",
            "from_s": round(gap.from_s, 6),
            "for_s": for_s,
            "missed": gap.missed,
        }
        text = f"{probe} was not measured for {for_s:.1f} s: {gap.reason}"
        self._events.append(Event(at_s=at_s, kind="gap", text=text, fields=fields))

    def _end_gaps(self) -> None:
        for probe in list(self._gaps):
            self._end_gap(probe, self._origin.at_s())


def _described(error: Exception, limit_s: float) -> tuple[str, str]:
    """What kind of failure it is, by which misses are told apart, and its reason in words."""
    kind = str(getattr(error, "sqlstate", None) or type(error).__name__)
    if isinstance(error, TimeoutError) and not str(error):
        return kind, f"no answer within {limit_s:g} s"
    lines = str(error).strip().splitlines()
    return kind, f"{kind}: {lines[0]}" if lines else kind

"""Carries out a run's timeline, and puts everything back.

1. each step waits for its time, or until its condition is true, by the sampler's ticks
2. its action is carried out, in a task of its own: sampler and watch go on meanwhile
3. when its time is over it is undone
4. when the run ends, however it ends, what is left is undone in reverse order, each with a time limit

Every part leaves an event of kind ``action``; its fields are told by :mod:`harness.record.actions`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from harness.clock import Origin
from harness.criteria import parse
from harness.model import Event, Step, Traffic
from harness.model.timeline import undo_of, words
from harness.probes.sampler import Tick
from harness.record.writer import EventWriter
from harness.timeline.condition import Condition
from harness.timeline.performer import FAILURES, Done, Performer, Scene, calls_under_way
from harness.timeline.performers import kind, performer
from harness.units import format_value

#: An action that begins later after its time than this says so: the machine was busy, or another call took the thread.
LATE_S = 0.5
#: What undoing one step may take: a server that starts on a slow disk, an index that is built again.
UNDO_LIMIT_S = 60.0


@dataclass(slots=True, eq=False)
class _Part:
    """One step of this run.

    :ivar servers: as named in the step, then as they were found to be
    """

    number: int
    step: Step
    performer: Performer[Any]
    condition: Condition | None
    servers: str
    ticks: asyncio.Queue[Tick] = field(default_factory=asyncio.Queue)
    begun: bool = False
    undone: bool = False


class Conductor:
    """A run's timeline, as an asynchronous context manager: inside it the steps take place, after it all is put back.

    :param traffic: as it is run, perhaps cut short
    :param say: is told what is done
    :ivar all_undone: False once an undoing failed: the stack is then not what the next run expects
    """

    def __init__(
        self,
        steps: Sequence[Step],
        scene: Scene,
        events: EventWriter,
        origin: Origin,
        traffic: Traffic,
        interval_s: float,
        say: Callable[[str], None],
        undo_limit_s: float = UNDO_LIMIT_S,
    ) -> None:
        self._events, self._origin, self._traffic, self._say = events, origin, traffic, say
        self._undo_limit_s = undo_limit_s
        self._parts = [
            _Part(
                number=number,
                step=step,
                performer=performer(step.action, scene, f"timeline-{number}"),
                condition=_condition(step, number, traffic, interval_s),
                servers=str(getattr(step.action, "server", "")),
            )
            for number, step in enumerate(steps, start=1)
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self._begun: list[_Part] = []
        self.all_undone = True

    async def __aenter__(self) -> Conductor:
        self._tasks = [asyncio.create_task(self._take(part), name=f"step {part.number}") for part in self._parts]
        return self

    async def __aexit__(self, *_: object) -> None:
        ending = asyncio.create_task(self._end())
        cancelled = False
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError:
                # A second Ctrl-C ends the run at once, but not with a server left paused: each undoing has its limit.
                cancelled = True
        ending.result()
        if cancelled:
            raise asyncio.CancelledError

    def see(self, tick: Tick) -> None:
        """What a probe said just now: conditions are held against it."""
        for part in self._parts:
            if part.condition is not None and not part.begun and part.condition.concerns(tick):
                part.ticks.put_nowait(tick)

    def in_force(self) -> str:
        """What is done and not undone now, for people; empty if nothing is."""
        return ", ".join(
            words(part.step.action) for part in self._begun if not part.undone and undo_of(part.step.action)
        )

    def failure(self) -> BaseException | None:
        """What broke the timeline itself; None while it goes on. Actions that failed are events, and no failure of it."""
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                return error
        return None

    async def _take(self, part: _Part) -> None:
        """One step from its waiting to its undoing."""
        step = part.step
        due_s = await self._due(part)
        if due_s is None:
            return
        begun_s = self._origin.at_s()
        part.begun = True
        self._begun.append(part)
        late_s = begun_s - due_s
        late = {"late_s": round(late_s, 3)} if late_s > LATE_S else {}
        because = f", as {step.when}" if step.when is not None else ""
        self._tell(part, "begin", f"{words(step.action)}{because}{_late(late_s)}", **late)
        await self._act(part, begun_s)
        if step.for_s is not None:
            await asyncio.sleep(max(0.0, begun_s + step.for_s - self._origin.at_s()))
            await self._undo(part, in_time=True)

    async def _due(self, part: _Part) -> float | None:
        """When the step's time has come, seconds; None: the traffic ends before."""
        if part.step.at_s is not None:
            if part.step.at_s >= self._traffic.ends_s:
                return None
            while (wait_s := part.step.at_s - self._origin.at_s()) > 0:
                await asyncio.sleep(wait_s)
            return part.step.at_s
        assert part.condition is not None
        try:
            while self._origin.at_s() < self._traffic.ends_s:
                tick = None
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._traffic.ends_s - self._origin.at_s()):
                        tick = await part.ticks.get()
                if tick is not None and await asyncio.to_thread(part.condition.holds, tick):
                    return tick.at_s + tick.took_s
            return None
        finally:
            part.condition.close()

    async def _act(self, part: _Part, begun_s: float) -> None:
        step, what = part.step, words(part.step.action)
        cut_short = step.for_s is not None and step.for_s <= step.limit_s
        limit_s = step.for_s if cut_short and step.for_s is not None else step.limit_s
        try:
            async with asyncio.timeout(limit_s) as limit:
                done = await part.performer.act()
        except asyncio.CancelledError:
            self._tell(part, "unfinished", f"{what}: was under way when the run ended", took_s=self._since(begun_s))
            raise
        except FAILURES as error:
            took_s = self._since(begun_s)
            if limit.expired() and cut_short:
                self._tell(part, "unfinished", f"{what}: was under way when its time was over", took_s=took_s)
                return
            why = f"was not done within {limit_s:g} s" if limit.expired() else _why(error)
            self._tell(part, "failed", f"{what} failed: {why}", took_s=took_s, why=why)
        else:
            took_s = self._since(begun_s)
            part.servers = ", ".join(done.servers) or part.servers
            stages = {"stages": [[name, round(stage_s, 3)] for name, stage_s in done.stages]} if done.stages else {}
            note = {"note": done.note} if done.note else {}
            self._tell(
                part,
                "end",
                f"{what}: done in {format_value(took_s, 's')}{_told(done)}",
                took_s=took_s,
                **stages,
                **note,
            )

    async def _undo(self, part: _Part, *, in_time: bool) -> None:
        """Undo a step. A failure is recorded and stands in no other's way.

        :param in_time: its time was over while the run went on; False: the run is over
        """
        what, begun_s = f"{words(part.step.action)}: undone", self._origin.at_s()
        try:
            async with asyncio.timeout(self._undo_limit_s) as limit:
                had = await part.performer.undo()
        except FAILURES as error:
            part.undone = True  # not tried again
            self.all_undone = False
            why = f"no end within {self._undo_limit_s:g} s" if limit.expired() else _why(error)
            text = f"{words(part.step.action)} could not be undone: {why}"
            if in_time:
                self._tell(part, "failed", text, took_s=self._since(begun_s), why=text, undoing=True)
            else:
                self._say(text)
            self._events.append(Event(at_s=self._origin.at_s(), kind="warning", text=text))
            return
        part.undone = True
        if had:
            took_s = self._since(begun_s)
            self._tell(part, "undone", f"{what} in {format_value(took_s, 's')}", took_s=took_s, at_end=not in_time)

    async def _end(self) -> None:
        """Stop waiting and doing, then undo what is left, the last first."""
        for task in self._tasks:
            task.cancel()
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        for part in reversed(self._begun):
            if not part.undone:
                await self._undo(part, in_time=False)
        if calls_under_way():
            self.all_undone = False
            text = "a call to a server has not come back: what it does is done behind the run's end"
            self._events.append(Event(at_s=self._origin.at_s(), kind="warning", text=text))
        for part in self._parts:
            if not part.begun:
                why = f"{part.step.when} never came true" if part.step.when else "the run ended before"
                self._tell(part, "never", f"{words(part.step.action)}: did not take place: {why}", why=why)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def _tell(self, part: _Part, edge: str, text: str, **fields: object) -> None:
        event = Event(
            at_s=self._origin.at_s(),
            kind="action",
            text=text,
            fields={
                "step": part.number,
                "action": kind(part.step.action),
                "server": part.servers,
                "edge": edge,
                **fields,
            },
        )
        self._events.append(event)
        self._say(f"{event.at_s:5.1f} s  {text}")

    def _since(self, begun_s: float) -> float:
        return round(self._origin.at_s() - begun_s, 3)


def _condition(step: Step, number: int, traffic: Traffic, interval_s: float) -> Condition | None:
    if step.when is None:
        return None
    criterion = parse(
        step.when,
        operations=traffic.mix,
        phases=[phase.name for phase in traffic.phases],
        where="the timeline",
        field=f"timeline[{number - 1}].when",
    )
    return Condition(criterion, traffic, interval_s)


def _late(late_s: float) -> str:
    return f" ({late_s:.1f} s late)" if late_s > LATE_S else ""


def _told(done: Done) -> str:
    stages = ", ".join(f"{name} {format_value(stage_s, 's')}" for name, stage_s in done.stages)
    return "".join(f"; {part}" for part in (stages, done.note) if part)


def _why(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

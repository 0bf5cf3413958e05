"""One run: one variant under its traffic, recorded into one folder.

1. write run.json: what is going to be run, on what
2. start the load's processes; they compute their schedules and wait
3. fix the origin, a moment ahead; connect the probes, read the statements' statistics, begin to sample
4. say go; the timeline's steps wait for their times
5. watch until every worker is done, or something ends the run early (interruption, a death, no room to record)
6. undo what the timeline did and has not undone
7. end the load's processes; their connections are closed, so the server's counters become final
8. take the final reading, the statements' difference and plans, the server's log
9. check the dataset against what was acknowledged
10. write finished.json: how the run ended
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness import invariants, machine
from harness.clock import Origin
from harness.errors import RecordingError
from harness.interruption import Interruption
from harness.load.arrivals import Schedule, scaled, schedule
from harness.load.plan import Plan
from harness.load.processes import LoadProcesses
from harness.model import Event, Incident, Step, Traffic
from harness.model.timeline import stretched, words
from harness.probes.core_times import may_run_on
from harness.probes.probing import Probing, probing
from harness.probes.sampler import Tick
from harness.progress import Progress, moment
from harness.record import format as layout
from harness.record.tail import Tail
from harness.record.writer import NO_ROOM, EventWriter, free_reserve, write_json
from harness.settings import Settings
from harness.stack.connect import addresses
from harness.stack.stack import Stack
from harness.timeline.conductor import Conductor
from harness.timeline.performer import Scene
from harness.timeline.performers import kind

#: Between fixing the origin and the first arrival: the probes connect and have a first sample, every worker reads go.
LEAD_S = 2.0
WATCH_S = 0.1
TELL_S = 1.0
#: A worker whose share is over writes its rows and says so; one that has not after this long hangs.
DONE_LIMIT_S = 15.0
#: After the server died the load goes on for a moment, so that the record shows what its clients saw.
AFTERMATH_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended.

    :param status: ``completed``, ``interrupted`` or ``broken``
    :param why: for people; empty if completed
    :param undone: whether all that the timeline did was undone; if not, nothing else should be run on that stack
    """

    status: str
    why: str = ""
    undone: bool = True

    @property
    def completed(self) -> bool:
        """Whether the run went to its end."""
        return self.status == "completed"


async def carry_out(
    incident: Incident,
    incident_folder: Path,
    variant: str,
    stack: Stack,
    folder: Path,
    settings: Settings,
    progress: Progress,
    interruption: Interruption,
    serving: Callable[[Path, Probing], AbstractContextManager[object]] | None = None,
) -> Ending:
    """Run one variant and record it.

    :param serving: a context in which live figures are served
    :raises RecordingError: the run folder cannot be written
    :raises FlashcrowdError: the load's processes did not start
    """
    steps = _steps(incident, variant, settings)
    folder.mkdir()
    interruption.means = "ending the load, then verdict and report"
    traffic = scaled(incident.traffic, rate=settings.rate, ends_s=settings.duration_s)
    arrivals = schedule(traffic, settings.seed)
    meta = _describe(incident, variant, traffic, steps, arrivals, stack, settings)
    write_json(folder / layout.RUN, meta)
    offered = arrivals.per_second(traffic.ends_s) if traffic.is_open else {}
    write_json(folder / layout.OFFERED, {"step_s": 1.0, "operations": offered})
    plan = Plan(
        incident_folder=str(incident_folder),
        variant=variant,
        run_folder=str(folder.resolve()),
        seed=settings.seed,
        workers=settings.workers,
        rate=settings.rate,
        ends_s=traffic.ends_s,
        drain_s=incident.drain_s,
        interval_s=settings.interval_s,
    )
    ticks: deque[Tick] = deque(maxlen=64)
    events = EventWriter(folder)
    origin = Origin.after(0.0)
    try:
        async with LoadProcesses(plan, traffic, addresses(stack), stack.load_cores, alone=load_alone(stack)) as load:
            origin = Origin.after(LEAD_S)
            write_json(folder / layout.RUN, {**meta, "workers_preferred": load.preferred, "origin": asdict(origin)})
            _announce_phases(traffic, events)
            scene = Scene(
                stack=stack,
                use_readers=load.use_readers,
                environment=addresses(stack),
                incident_folder=incident_folder,
                logs=folder / layout.LOGS,
            )
            conductor = Conductor(steps, scene, events, origin, traffic, settings.interval_s, progress.say)

            def on_tick(tick: Tick) -> None:
                ticks.append(tick)
                conductor.see(tick)

            async with probing(stack, folder, events, origin, settings.interval_s, on_tick) as sampling:
                await sampling.begin()
                with serving(folder, sampling) if serving else nullcontext():
                    load.go(origin)
                    async with conductor:
                        watch = _Watch(
                            variant, load, sampling, conductor, stack, offered, events, Tail(folder), ticks, progress
                        )
                        ending = await watch.until_over(origin, traffic.ends_s + incident.drain_s, interruption)
                    ending = replace(ending, undone=conductor.all_undone)
                    await load.end()
                await sampling.end()
                watch.record_events(origin)
                if stack.check_alive() is None:
                    await sampling.read_finally()
                    await asyncio.to_thread(invariants.check, incident, stack, folder)
        await asyncio.to_thread(stack.save_logs, folder / layout.LOGS)
    except BaseException as error:
        full = isinstance(error, OSError) and error.errno in NO_ROOM
        _finish_badly(folder, origin, error, full=full or isinstance(error, RecordingError))
        raise
    finally:
        progress.end()
        events.close()
    write_json(folder / layout.FINISHED, {"at_s": origin.at_s(), **asdict(ending)})
    return ending


def _finish_badly(folder: Path, origin: Origin, error: BaseException, *, full: bool) -> None:
    """Say in the record why it ends here, so that nobody takes the run for one that was killed.

    :param full: there was no room to record; the reserve makes some
    """
    if full:
        free_reserve(folder.parent)
    ending = Ending(status="broken", why=str(error))
    if isinstance(error, asyncio.CancelledError):
        ending = Ending(status="interrupted", why="ended at once, without waiting for what was in flight")
    with suppress(RecordingError):
        write_json(folder / layout.FINISHED, {"at_s": origin.at_s(), **asdict(ending)})


class _Watch:
    """Looks at a run while it goes on."""

    def __init__(
        self,
        variant: str,
        load: LoadProcesses,
        sampling: Probing,
        conductor: Conductor,
        stack: Stack,
        offered: dict[str, list[int]],
        events: EventWriter,
        tail: Tail,
        ticks: deque[Tick],
        progress: Progress,
    ) -> None:
        self._variant, self._load, self._sampling, self._stack = variant, load, sampling, stack
        self._offered, self._events, self._tail, self._ticks = offered, events, tail, ticks
        self._conductor, self._progress = conductor, progress
        self._recorded = 0

    async def until_over(self, origin: Origin, ends_s: float, interruption: Interruption) -> Ending:
        """Until the traffic is over and all is written, or something ends it early.

        :param ends_s: when the last request must have finished or been cut off
        """
        told_s = origin.at_s()
        while not self._load.done():
            await asyncio.sleep(WATCH_S)
            at_s = origin.at_s()
            self.record_events(origin)
            if early := await self._early_end(at_s, ends_s, interruption):
                await self._stop_load()
                return early
            if at_s - told_s >= TELL_S:
                now = moment(at_s, told_s, self._tail.poll(), self._offered, list(self._ticks))
                self._progress.tell(self._variant, now, self._conductor.in_force())
                told_s = at_s
        return Ending(status="completed")

    def record_events(self, origin: Origin) -> None:
        """Write down what befell servers since the last time."""
        for event in self._stack.events[self._recorded :]:
            fields = {"state": event.state, "name": event.server, "reason": event.reason}
            at_s = origin.from_monotonic(event.at_ns)
            self._events.append(Event(at_s=at_s, kind="server", text=event.text, fields=fields))
            self._recorded += 1

    async def _early_end(self, at_s: float, ends_s: float, interruption: Interruption) -> Ending | None:
        if interruption.requested:
            self._events.append(Event(at_s=at_s, kind="interrupted", text="interrupted by a signal"))
            when = f"{at_s:.0f} s after the traffic began" if at_s > 0 else "before the traffic began"
            return Ending(status="interrupted", why=f"interrupted {when}")
        if died := self._stack.check_alive():
            self._events.append(Event(at_s=at_s, kind="server", text=died, fields={"state": "died"}))
            await asyncio.sleep(AFTERMATH_S)
            return Ending(status="broken", why=f"a server of the stack died at {at_s:.1f} s: {died}")
        if death := self._load.dead():
            self._events.append(death.event(at_s))
            return Ending(status="broken", why=death.text)
        if failure := self._sampling.failure() or self._conductor.failure():
            raise failure
        if at_s > ends_s + DONE_LIMIT_S:
            return Ending(status="broken", why=f"the load was not over {DONE_LIMIT_S:.0f} s after its time")
        return None

    async def _stop_load(self) -> None:
        """Let the workers that live cut off what is in flight and write it."""
        self._load.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(DONE_LIMIT_S):
                while not self._load.settled():
                    await asyncio.sleep(WATCH_S)


def _describe(
    incident: Incident,
    variant: str,
    traffic: Traffic,
    steps: Sequence[Step],
    arrivals: Schedule,
    stack: Stack,
    settings: Settings,
) -> dict[str, Any]:
    """The contents of run.json but for the origin."""
    chosen = incident.variant(variant)
    return {
        "format": layout.VERSION,
        "incident": incident.name,
        "title": incident.title,
        "story": incident.story,
        "source": asdict(incident.source),
        "variant": {"name": chosen.name, "story": chosen.story, "expect": chosen.expect},
        "symptoms": [asdict(symptom) for symptom in incident.symptoms],
        "thresholds": [asdict(threshold) for threshold in incident.thresholds],
        "open": traffic.is_open,
        "phases": [{"kind": type(phase).__name__.lower(), **asdict(phase)} for phase in traffic.phases],
        "ends_s": traffic.ends_s,
        "drain_s": incident.drain_s,
        "timeline": [_described(number, step) for number, step in enumerate(steps, start=1)],
        "mix": dict(traffic.mix),
        "operations": list(traffic.mix),
        "process": traffic.process,
        "retry": asdict(traffic.retry) if traffic.retry else None,
        "scheduled": arrivals.counts(),
        "application": asdict(incident.application),
        "dataset": asdict(incident.dataset),
        "seed": settings.seed,
        "scale": settings.scale,
        "rate": settings.rate,
        "interval_s": settings.interval_s,
        "workers": settings.workers,
        "workers_preferred": None,
        "origin": None,
        "stack": stack.describe(),
        "machine": machine.machine(stack.load_cores),
        "versions": machine.versions(),
        "command": settings.command,
    }


def load_alone(stack: Stack) -> bool:
    """Whether the load has cores on which no server may run."""
    load = stack.load_cores
    processes = [found.pid for server in stack.servers.values() if (found := server.footprint()) is not None]
    held = [may_run_on(pid) for pid in processes]
    return load is not None and all(cores is not None and cores.isdisjoint(load) for cores in held)


def _steps(incident: Incident, variant: str, settings: Settings) -> tuple[Step, ...]:
    """The variant's timeline, stretched as its traffic is."""
    steps = incident.steps(variant)
    return steps if settings.duration_s is None else stretched(steps, settings.duration_s / incident.traffic.ends_s)


def _described(number: int, step: Step) -> dict[str, Any]:
    """A step as run.json has it."""
    return {**asdict(step), "step": number, "kind": kind(step.action), "what": words(step.action)}


def _announce_phases(traffic: Traffic, events: EventWriter) -> None:
    for phase in traffic.phases:
        for edge, at_s in (("begin", phase.at_s), ("end", phase.at_s + phase.for_s)):
            text = f"{phase.name} {edge}s"
            events.append(Event(at_s=at_s, kind="phase", text=text, fields={"name": phase.name, "edge": edge}))

"""Sampling one run from before its load to after it: the probes, the statements' costs, the final reading."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from harness.clock import Origin
from harness.model import Event
from harness.probes import plans, statements
from harness.probes.probe import FAILURES, Unmeasured
from harness.probes.probe_set import ProbeSet, all_probes, final_reading
from harness.probes.sampler import Sampler, Tick
from harness.record.writer import EventWriter, SampleWriter
from harness.stack.postgres import Endpoint


class Probing:
    """A run's sampling, while its :func:`probing` context lasts.

    :ivar sampler: has the latest ticks
    """

    def __init__(self, probe_set: ProbeSet, sampler: Sampler, endpoint: Endpoint, folder: Path, events: EventWriter):
        self.sampler = sampler
        self._probe_set, self._endpoint, self._folder, self._events = probe_set, endpoint, folder, events
        self._before: statements.Snapshot | None = None
        self._stop = asyncio.Event()
        self._sampling: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Read the statements' statistics and begin to sample."""
        with suppress(*FAILURES):
            self._before = await statements.snapshot(self._probe_set.connection)
        self._sampling = asyncio.create_task(self.sampler.run(self._stop))

    def failure(self) -> BaseException | None:
        """What ended the sampling before its time; None while it goes on."""
        if self._sampling is None or not self._sampling.done() or self._stop.is_set():
            return None
        return self._sampling.exception()

    async def end(self) -> None:
        """End the sampling; a second call does nothing.

        :raises RecordingError: the samples could not be written
        """
        self._stop.set()
        if self._sampling is not None:
            sampling, self._sampling = self._sampling, None
            await sampling

    async def read_finally(self, origin: Origin) -> None:
        """The last tick, when the load has closed its connections, and what the statements cost, with plans."""
        left = await final_reading(self._probe_set, self.sampler)
        if left is None:
            self._warn(origin, "the server did not answer after the load: its counters have no final reading")
        elif not left:
            self._warn(
                origin,
                "some sessions did not leave after the load; counters were read when even idle sessions must have written theirs",
            )
        try:
            if self._before is None:
                raise Unmeasured("there was no reading before the load")
            found = statements.difference(self._before, await statements.snapshot(self._probe_set.connection))
            statements.write(self._folder, found.costs)
            if found.evictions:
                text = (
                    f"pg_stat_statements threw out {found.evictions} entries: costs of rare statements are lower bounds"
                )
                self._warn(origin, text)
            await plans.explain(self._endpoint.dsn(), found.costs, self._folder)
        except FAILURES as error:
            self._warn(origin, f"what the statements cost is not known: {error}")

    def _warn(self, origin: Origin, text: str) -> None:
        self._events.append(Event(at_s=origin.at_s(), kind="warning", text=text))


@asynccontextmanager
async def probing(
    endpoint: Endpoint,
    folder: Path,
    events: EventWriter,
    origin: Origin,
    interval_s: float,
    on_tick: Callable[[Tick], None] | None = None,
) -> AsyncIterator[Probing]:
    """The probes of a run, connected before its load; closed on every path."""
    samples = SampleWriter(folder)
    try:
        async with all_probes(endpoint, folder, origin) as probe_set:
            for note in probe_set.notes:
                events.append(Event(at_s=origin.at_s(), kind="warning", text=note))
            sampler = Sampler(probe_set.probes, samples, events, origin, interval_s, on_tick=on_tick)
            found = Probing(probe_set, sampler, endpoint, folder, events)
            try:
                yield found
            finally:
                await found.end()
    finally:
        samples.close()

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
from harness.probes.probe_set import PostgresProbes, ProbeSet, all_probes, final_reading
from harness.probes.sampler import Sampler, Tick
from harness.record.writer import EventWriter, SampleWriter
from harness.stack.stack import Stack

JOINING_S = 0.5  # a replica that was added is sampled about so long after it takes reads


class Probing:
    """A run's sampling, while its :func:`probing` context lasts.

    :ivar sampler: has the latest ticks
    """

    def __init__(
        self,
        probe_set: ProbeSet,
        sampler: Sampler,
        folder: Path,
        events: EventWriter,
        origin: Origin,
        dsn: str | None,
    ) -> None:
        self.sampler = sampler
        self._origin = origin
        self._probe_set, self._folder, self._events, self._dsn = probe_set, folder, events, dsn
        self._before: statements.Snapshot | None = None
        self._stop = asyncio.Event()
        self._sampling: asyncio.Task[None] | None = None
        self._joining: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Read the statements' statistics and begin to sample."""
        if self._probe_set.postgres is not None:
            with suppress(*FAILURES):
                self._before = await statements.snapshot(self._probe_set.postgres.connection)
        self._sampling = asyncio.create_task(self.sampler.run(self._stop))
        self._joining = asyncio.create_task(self._take_in_who_joins())

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
        if self._joining is not None:
            joining, self._joining = self._joining, None
            joining.cancel()
            with suppress(asyncio.CancelledError):
                await joining
        if self._sampling is not None:
            sampling, self._sampling = self._sampling, None
            await sampling

    async def read_finally(self) -> None:
        """The last tick, when the load has closed its connections, and what the statements cost, with plans."""
        left = await final_reading(self._probe_set, self.sampler)
        if left is None:
            self._warn("the server did not answer after the load: its counters have no final reading")
        elif not left:
            self._warn(
                "some sessions did not leave after the load; counters were read when even idle sessions must have written theirs",
            )
        if self._probe_set.postgres is not None and self._dsn is not None:
            await self._read_statements(self._probe_set.postgres, self._dsn)

    async def _take_in_who_joins(self) -> None:
        """Sample replicas, too, that the timeline adds."""
        while True:
            await asyncio.sleep(JOINING_S)
            joined = await self._probe_set.replicas.join()
            for note in joined.notes:
                self._warn(note)
            for probe in joined.probes:
                self.sampler.add(probe)

    async def _read_statements(self, postgres: PostgresProbes, dsn: str) -> None:
        try:
            if self._before is None:
                raise Unmeasured("there was no reading before the load")
            found = statements.difference(self._before, await statements.snapshot(postgres.connection))
            statements.write(self._folder, found.costs)
            if found.evictions:
                text = (
                    f"pg_stat_statements threw out {found.evictions} entries: costs of rare statements are lower bounds"
                )
                self._warn(text)
            await plans.explain(dsn, found.costs, self._folder)
        except FAILURES as error:
            self._warn(f"what the statements cost is not known: {error}")

    def _warn(self, text: str) -> None:
        self._events.append(Event(at_s=self._origin.at_s(), kind="warning", text=text))


@asynccontextmanager
async def probing(
    stack: Stack,
    folder: Path,
    events: EventWriter,
    origin: Origin,
    interval_s: float,
    on_tick: Callable[[Tick], None] | None = None,
) -> AsyncIterator[Probing]:
    """The probes of a run, connected before its load; closed on every path."""
    samples = SampleWriter(folder)
    try:
        async with all_probes(stack, folder, origin) as probe_set:
            for note in probe_set.notes:
                events.append(Event(at_s=origin.at_s(), kind="warning", text=note))
            sampler = Sampler(probe_set.probes, samples, events, origin, interval_s, on_tick=on_tick)
            found = Probing(
                probe_set, sampler, folder, events, origin, stack.postgres.dsn() if stack.postgres else None
            )
            try:
                yield found
            finally:
                await found.end()
    finally:
        samples.close()

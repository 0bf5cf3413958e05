"""Carries one worker's share of the traffic out, on the loop's thread.

Each arrival of the open model is a task of its own, begun at its due time and never before. What bounds it is what the
incident declares (the application's pool and time limits), not a number of users. In the closed model each user is one
task that waits for its answer.

A request's four times: *intended* (when the person clicked: the schedule's due time; closed model: when the user got
round to it), *started* (when the task ran), *acquired* (when it got its connection), *finished*.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from time import monotonic_ns as now_ns
from typing import Any

from harness.load.arrivals import Schedule
from harness.load.locust_side.alarm import Alarm, sleep_until
from harness.load.locust_side.arrival import Arrival
from harness.load.locust_side.outcome import outcome_of
from harness.load.locust_side.recorder import Recorder
from harness.load.locust_side.source import Source
from harness.load.locust_side.supply import Supply
from harness.model import Application, Connections, Outcome, Traffic, Users
from harness.record.format import ATTEMPT_BITS

#: Arrivals are turned into Python numbers in portions, so that an hour's schedule does not sit in memory as objects.
PORTION = 4096
#: A task that was told to end and has not is told again after this long.
CANCEL_AGAIN_S = 1.0

Operation = Callable[[Any, Arrival], Awaitable[None]]


@dataclass(slots=True)
class Tally:
    """What the crowd did so far; read by the engine's telemetry."""

    begun: int = 0
    in_flight: int = 0
    cap_reached: bool = False


class Crowd:
    """One worker's share of the traffic.

    :param schedule: this worker's arrivals; empty in the closed model
    :param supply: makes the sources of connections
    :param cap: most requests in flight; one more is recorded as ``over_cap`` and makes the run invalid
    :param first_id: added to every request id, where the data may hold those of an earlier test
    """

    def __init__(
        self,
        *,
        traffic: Traffic,
        schedule: Schedule,
        application: Application,
        supply: Supply,
        recorder: Recorder,
        seed: int,
        worker: int,
        workers: int,
        cap: int,
        first_id: int = 0,
    ) -> None:
        self._first_id = first_id
        self._traffic = traffic
        self._schedule = schedule
        self._application = application
        self._supply = supply
        self._recorder = recorder
        self._seed = seed
        self._worker, self._workers, self._cap = worker, workers, cap
        self._names = list(traffic.mix)
        self._codes = [recorder.operations[name] for name in self._names]
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._ends_ns = 0
        self._drawn = 0
        self.tally = Tally()
        self._per_user = application.connections is Connections.PER_USER
        self._shared: list[Source] = [] if self._per_user else supply.shared(self._names)
        self.sources: list[Source] = list(dict.fromkeys(self._shared))

    async def begin(self) -> None:
        """Get ready on the loop, before the traffic begins."""
        for source in self.sources:
            await source.begin()

    # --- open model

    async def arrive(self, origin_ns: int, operations: Mapping[str, Operation]) -> None:
        """Begin every scheduled arrival at its due time; returns when the traffic ends."""
        calls = [operations[name] for name in self._names]
        self._ends_ns = origin_ns + round(self._traffic.ends_s * 1e9)
        schedule = self._schedule
        alarm = Alarm()
        try:
            for first in range(0, len(schedule), PORTION):
                portion = slice(first, first + PORTION)
                dues = (schedule.due_ns[portion] + origin_ns).tolist()
                for due, operation, index in zip(
                    dues, schedule.operation[portion].tolist(), schedule.index[portion].tolist(), strict=True
                ):
                    if due > now_ns():
                        await alarm.at(due)
                    if self._stopping:
                        return
                    self._begin(self._one_person(operation, calls[operation], index, due))
            await alarm.at(self._ends_ns)
        finally:
            alarm.close()

    async def _one_person(self, operation: int, call: Operation, index: int, due: int) -> None:
        """An arrival and, if it fails, what a person does then."""
        retry = self._traffic.retry
        attempt, intended = 1, due
        while True:
            arrival = Arrival(self._seed, index, attempt, None, self._first_id)
            ok = await self._request(operation, call, arrival, intended, self._shared[operation])
            if ok or retry is None or attempt >= retry.attempts or self._names[operation] not in retry.operations:
                return
            # A stream of its own, so that the wait does not depend on what the operation drew.
            wait = random.Random(index << ATTEMPT_BITS | attempt).expovariate(1.0 / retry.after_s)
            intended = now_ns() + round(wait * 1e9)
            if self._stopping or intended >= self._ends_ns:
                return
            await sleep_until(intended)
            attempt += 1

    # --- closed model

    async def use(self, number: int, origin_ns: int, operations: Mapping[str, Operation]) -> None:
        """Be user ``number`` (over all workers) through all phases that have that many users."""
        calls = [operations[name] for name in self._names]
        self._ends_ns = origin_ns + round(self._traffic.ends_s * 1e9)
        source = random.Random(self._seed << 20 ^ number)
        weights = list(accumulate(self._traffic.mix.values()))
        choices = range(len(self._names))
        sources = self._shared
        if self._per_user:
            sources = self._supply.of_one_user(self._names)
            for own in dict.fromkeys(sources):
                self.sources.append(own)
                await own.begin()
        for phase in self._traffic.phases:
            if not isinstance(phase, Users) or number >= phase.users:
                continue
            await sleep_until(origin_ns + round(phase.at_s * 1e9))
            ends_ns = origin_ns + round((phase.at_s + phase.for_s) * 1e9)
            while not self._stopping and (intended := now_ns()) < ends_ns:
                operation = 0 if len(choices) == 1 else source.choices(choices, cum_weights=weights)[0]
                index = self._drawn * self._workers + self._worker
                self._drawn += 1
                arrival = Arrival(self._seed, index, 1, source, self._first_id)
                await self._request(operation, calls[operation], arrival, intended, sources[operation])
                if phase.think_s:
                    await sleep_until(now_ns() + round(source.expovariate(1.0 / phase.think_s) * 1e9))

    # --- both

    async def use_readers(self, dsns: Sequence[str]) -> None:
        """From now on these replicas take reads: connections are spread over them anew as they come back to their pool."""
        self._supply.use_readers(dsns)
        for source in self.sources:
            await source.sift()

    def begin_user(self, number: int, origin_ns: int, operations: Mapping[str, Operation]) -> None:
        """Begin a user of the closed model as a task of the crowd."""
        self._begin(self.use(number, origin_ns, operations))

    def _begin(self, person: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(person)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _request(self, operation: int, call: Operation, arrival: Arrival, intended: int, source: Source) -> bool:
        """One attempt, recorded whatever becomes of it.

        :returns: whether it ended ok
        """
        started, acquired, tally, recorder = now_ns(), 0, self.tally, self._recorder
        tally.begun += arrival.attempt == 1
        if tally.in_flight >= self._cap:
            tally.cap_reached = True
            recorder.add(
                self._codes[operation],
                recorder.outcomes[Outcome.OVER_CAP],
                arrival.index,
                arrival.attempt,
                intended,
                started,
                0,
                started,
            )
            return False
        tally.in_flight += 1
        error: BaseException | None = None
        lent = None
        try:
            if self._application.time_limit_s is None:
                if (lent := source.take()) is None:
                    lent = await source.acquire()
                acquired = now_ns()
                await call(lent, arrival)
            else:
                async with asyncio.timeout(self._application.time_limit_s) as limit:
                    if (lent := source.take()) is None:
                        lent = await source.acquire()
                    acquired = now_ns()
                    await call(lent, arrival)
                if limit.expired():
                    # A driver that waits with a timeout may swallow its cancellation (cpython#86296, up to 3.11) and go on:
                    # whoever asked had given up by then.
                    raise TimeoutError
        except (Exception, asyncio.CancelledError) as caught:
            error = caught
        finished = now_ns()
        tally.in_flight -= 1
        outcome = Outcome.OK if error is None else outcome_of(error)
        recorder.add(
            self._codes[operation],
            recorder.ok if error is None else recorder.outcomes[outcome],
            arrival.index,
            arrival.attempt,
            intended,
            started,
            source.reached(started, acquired, finished),
            finished,
        )
        if error is not None:
            recorder.failed(self._names[operation], outcome, arrival.index, arrival.attempt, finished, error)
        if lent is not None and (error is not None or not source.give(lent)):
            await source.release(lent, failed=error is not None)
        if isinstance(error, asyncio.CancelledError):
            raise error
        return error is None

    async def finish(self, drain_s: float) -> None:
        """Begin nothing more, let what is in flight finish for ``drain_s``, cut off the rest and close all connections.

        Connections are closed in every case: a server's statistics of a session are final only when it is gone.
        """
        self._stopping = True
        # The last arrivals' tasks may not have had their first step, and a task cancelled before it leaves no record. The
        # loop runs what is ready in order, so after one turn all have.
        await asyncio.sleep(0)
        deadline = now_ns() + round(drain_s * 1e9)
        while self.tally.in_flight and now_ns() < deadline:
            await asyncio.sleep(0.02)
        while tasks := list(self._tasks):
            for task in tasks:
                task.cancel()
            # Again, if need be: a driver that waits with a timeout may swallow a cancellation (cpython#86296, up to 3.11).
            await asyncio.wait(tasks, timeout=CANCEL_AGAIN_S)
        for source in self.sources:
            await source.close()

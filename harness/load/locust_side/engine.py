"""One engine per process: a uvloop in a native thread that carries the crowd, and a service on Locust's side.

Life of an engine:
1. made by the first user that Locust spawns: reads plan and incident, computes this worker's share of the schedule;
2. says ``ready`` (an event in the run folder) and waits for go; under a plain ``locust -f`` it goes at once;
3. the crowd works on the loop's thread; the service writes rows, feeds Locust's statistics, samples itself;
4. at the traffic's end, or when told to stop, requests in flight drain, the rest is cut off, connections are closed;
5. says ``done``; the harness ends the process. If the harness is gone, the last rows are written and the process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import sys
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from time import monotonic_ns as now_ns
from typing import TYPE_CHECKING, Any

import gevent
import psutil
import uvloop
from gevent import monkey
from locust.env import Environment

from harness import catalog
from harness.clock import Origin
from harness.errors import Exit, RecordingError
from harness.load.arrivals import scaled, schedule
from harness.load.locust_side import timeslice
from harness.load.locust_side.control import Control
from harness.load.locust_side.crowd import Crowd, Operation
from harness.load.locust_side.profile import Profile
from harness.load.locust_side.recorder import Recorder
from harness.load.locust_side.statistics import feed
from harness.load.locust_side.supply import WorkerSupply
from harness.load.plan import DEFAULT_CAP, RATE_VARIABLE, SEED_VARIABLE, Plan
from harness.model import Event, Sample, Traffic
from harness.record.writer import EventWriter, SampleWriter

if TYPE_CHECKING:
    from harness.load.locust_side.user import CrowdUser

_start_thread = monkey.get_original("_thread", "start_new_thread")

#: How often rows are handed over and written: what a kill -9 can lose at most, with the service's own period.
FLUSH_S = 0.5
SERVICE_S = 0.1
#: Python lets a thread hold the interpreter for 5 ms by default, which would show as arrivals begun late.
SWITCH_INTERVAL_S = 0.0005
LAG_PERIOD_S = 0.01
#: Under a plain ``locust -f`` the first arrival is this far away, so that the loop runs before it.
STANDALONE_DELAY_S = 0.5
#: Request ids that one second of the epoch has room for; time << 30 fits a bigint for some centuries.
STANDALONE_ID_BITS = 30


class LoopThread:
    """A uvloop on a native thread, also where gevent has patched the standard library's threads."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self.stopped = False
        self.worst_lag_ns = 0
        self.failure: BaseException | None = None
        _start_thread(self._run, ())
        self.start(self._watch_lag())

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin a coroutine on the loop; callable from any thread. What it raises becomes :attr:`failure`."""
        self.loop.call_soon_threadsafe(lambda: self.loop.create_task(work).add_done_callback(self._note))

    def _note(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.failure = task.exception()

    def stop(self) -> None:
        """End the loop and wait for its thread, so that nothing runs while the interpreter is taken apart."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        deadline = now_ns() + 2 * 10**9
        while not self.stopped and now_ns() < deadline:
            gevent.sleep(0.01)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        timeslice.shorten()
        try:
            self.loop.run_forever()
        finally:
            self.stopped = True

    async def _watch_lag(self) -> None:
        while True:
            due = now_ns() + round(LAG_PERIOD_S * 1e9)
            await asyncio.sleep(LAG_PERIOD_S)
            self.worst_lag_ns = max(self.worst_lag_ns, now_ns() - due)


class Engine:
    """What one process needs to carry its share of the crowd; see the module's docstring."""

    _current: Engine | None = None

    @classmethod
    def of(cls, environment: Environment) -> Engine:
        """The engine of this process, made when Locust spawns its first user."""
        if cls._current is None:
            cls._current = cls(environment)
        return cls._current

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        planned = Plan.of_environment()
        self._plan: Plan | None = None
        if planned:
            self._plan, self._worker = planned
            folder = Path(self._plan.incident_folder)
            workers, seed = self._plan.workers, self._plan.seed
            rate, ends_s, cap = self._plan.rate, self._plan.ends_s, self._plan.cap
        else:
            folder = _locustfile_folder(environment)
            self._worker, workers = _place_among_workers(environment)
            seed, rate = int(os.environ.get(SEED_VARIABLE, "1")), float(os.environ.get(RATE_VARIABLE, "1"))
            ends_s, cap = None, DEFAULT_CAP
        incident = catalog.load_folder(folder)
        self._drain_s = self._plan.drain_s if self._plan else incident.drain_s
        self._traffic: Traffic = scaled(incident.traffic, rate=rate, ends_s=ends_s)
        self._profile = Profile(environment, self._traffic.mix)
        run_folder = Path(self._plan.run_folder) if self._plan else None
        self._recorder = Recorder(run_folder, self._worker)
        share = schedule(self._traffic, seed).share(self._worker, workers)
        self._scheduled = len(share)
        self._crowd = Crowd(
            traffic=self._traffic,
            schedule=share,
            application=incident.application,
            supply=WorkerSupply(incident.application, self._profile.uses, self._worker, workers),
            recorder=self._recorder,
            seed=seed,
            worker=self._worker,
            workers=workers,
            cap=cap,
            # Nobody resets the data between two tests from Locust's web page: ids go on from test to test.
            first_id=0 if planned else int(time.time()) << STANDALONE_ID_BITS,
        )
        self._workers = workers
        self._users: list[CrowdUser] = []
        self._operations: Mapping[str, Operation] = {}
        self._joined = 0
        self._origin: Origin | None = None
        self._finished = False
        self._done_said = False
        self._process = psutil.Process()
        self._samples = SampleWriter(run_folder, f"samples-worker-{self._worker}") if run_folder else None
        self._events = EventWriter(run_folder, f"events-worker-{self._worker}") if run_folder else None
        self._control = Control() if self._plan else None
        _raise_descriptor_limit()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._thread = LoopThread()
        self._stop: asyncio.Event | None = None
        self._service = gevent.spawn(self._serve)
        self._service.link_exception(_end_process)
        environment.events.quit.add_listener(self._on_quit)

    # --- users come and go (Locust's thread)

    def join(self, user: CrowdUser) -> None:
        """A user was spawned."""
        number = self._joined * self._workers + self._worker
        operations = self._profile.operations(user)
        self._joined += 1
        self._users.append(user)
        if len(self._users) == 1 and self._joined == 1:
            self._operations = operations
            if self._plan is None:
                self._go(Origin.after(STANDALONE_DELAY_S))
            else:
                self._say("ready", {"pid": os.getpid(), "scheduled": self._scheduled})
        if not self._traffic.is_open:
            self._thread.start(self._use(number, operations))

    def leave(self, user: CrowdUser) -> None:
        """A user was stopped; with the last one the traffic ends, and a new test begins with a new engine."""
        self._users.remove(user)
        if not self._users and Engine._current is self:
            Engine._current = None
            self._end()
            if self._plan is None:
                self._environment.events.quit.remove_listener(self._on_quit)
                self._service.kill(block=False)
                self._thread.stop()

    async def _use(self, number: int, operations: Mapping[str, Operation]) -> None:
        while self._origin is None:
            await asyncio.sleep(0.01)
        self._crowd.begin_user(number, self._origin.monotonic_ns, operations)

    # --- go, work, finish (the loop's thread)

    def _go(self, origin: Origin) -> None:
        self._recorder.origin = origin
        gc.collect()
        gc.freeze()  # what was loaded stays; collecting it again and again would only stop the loop
        self._origin = origin
        self._thread.start(self._carry(origin))

    async def _carry(self, origin: Origin) -> None:
        self._stop = asyncio.Event()
        stopped = asyncio.create_task(self._stop.wait())
        await self._crowd.begin()
        if self._traffic.is_open:
            work = asyncio.create_task(self._crowd.arrive(origin.monotonic_ns, self._operations))
        else:
            ends_ns = origin.monotonic_ns + round(self._traffic.ends_s * 1e9)
            work = asyncio.create_task(asyncio.sleep((ends_ns - now_ns()) / 1e9))
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        early = stopped.done()
        for task in (work, stopped):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        await self._crowd.finish(0.0 if early else self._drain_s)
        self._recorder.hand_over()
        self._finished = True

    def _end(self) -> None:
        """Stop early and wait until the crowd is gone (Locust's thread)."""
        if self._origin is not None:
            self._thread.loop.call_soon_threadsafe(lambda: self._stop.set() if self._stop else None)
            deadline = time.monotonic() + 5
            while not self._finished and time.monotonic() < deadline:
                gevent.sleep(0.02)
        self._flush()

    # --- the service (Locust's thread)

    def _serve(self) -> None:
        flushed = sampled = now_ns()
        interval_ns = round((self._plan.interval_s if self._plan else 1.0) * 1e9)
        while True:
            gevent.sleep(SERVICE_S)
            if self._thread.failure is not None:
                raise self._thread.failure
            self._obey()
            if now_ns() - flushed >= FLUSH_S * 1e9:
                flushed = now_ns()
                self._thread.loop.call_soon_threadsafe(self._recorder.hand_over)
                self._flush()
            if now_ns() - sampled >= interval_ns:
                sampled += interval_ns
                self._sample()
            if self._finished and not self._done_said:
                self._flush()
                self._done_said = True
                self._say_done()

    def _obey(self) -> None:
        while self._control is not None and self._control.commands:
            command = self._control.commands.popleft()
            if "go" in command:
                self._go(Origin(**command["go"]))
            elif "readers" in command:
                self._thread.start(self._crowd.use_readers(command["readers"]))
            elif "stop" in command:
                self._thread.loop.call_soon_threadsafe(lambda: self._stop.set() if self._stop else None)
            else:
                # the harness is gone: write what there is, and go as well
                self._thread.loop.call_soon_threadsafe(self._recorder.hand_over)
                gevent.sleep(SERVICE_S)
                self._flush()
                os._exit(Exit.DEFECT)

    def _flush(self) -> None:
        try:
            rows = self._recorder.flush()
        except RecordingError as error:
            sys.stderr.write(f"{error}\n")
            os._exit(Exit.UNKNOWN)
        if len(rows):
            feed(self._environment.stats, rows, self._recorder, self._profile.uses)

    def _sample(self) -> None:
        if self._samples is None or self._origin is None:
            return
        began, at_s = now_ns(), self._origin.at_s()
        lag_ns, self._thread.worst_lag_ns = self._thread.worst_lag_ns, 0
        sources = self._crowd.sources
        values = {
            "flashcrowd_worker_cpu_seconds_total": time.process_time(),
            "flashcrowd_worker_resident_bytes": float(self._process.memory_info().rss),
            "flashcrowd_worker_loop_lag_seconds": lag_ns / 1e9,
            "flashcrowd_worker_in_flight": float(self._crowd.tally.in_flight),
            "flashcrowd_worker_users": float(len(self._users)),
            "flashcrowd_pool_size": float(sum(source.open for source in sources)),
            "flashcrowd_pool_idle": float(sum(source.idle for source in sources)),
            "flashcrowd_pool_waiting": float(sum(source.waiting for source in sources)),
        }
        labels = {"worker": str(self._worker)}
        samples = [Sample(at_s=at_s, metric=metric, value=value, labels=labels) for metric, value in values.items()]
        try:
            self._samples.append(f"worker-{self._worker}", at_s, (now_ns() - began) / 1e9, samples)
        except RecordingError as error:
            sys.stderr.write(f"{error}\n")
            os._exit(Exit.UNKNOWN)

    def _say(self, state: str, fields: dict[str, object]) -> None:
        if self._events is not None:
            at_s = self._origin.at_s() if self._origin else 0.0
            fields = {"worker": self._worker, "state": state, **fields}
            self._events.append(Event(at_s=at_s, kind="worker", text=f"worker {self._worker} {state}", fields=fields))

    def _say_done(self) -> None:
        begun, cap_reached = self._crowd.tally.begun, self._crowd.tally.cap_reached
        self._say("done", {"scheduled": self._scheduled, "begun": begun, "cap_reached": cap_reached})
        if self._plan is None:  # Locust itself goes on until somebody stops it
            counted = f"{begun} of {self._scheduled} arrivals" if self._traffic.is_open else f"{begun} requests"
            logging.getLogger(__name__).info("the traffic is over: %s begun", counted)

    def _on_quit(self, **_: Any) -> None:
        self._end()
        self._thread.stop()
        self._recorder.close()


def _end_process(_: gevent.Greenlet) -> None:
    """End this process, whose service has failed; gevent has printed why. A worker that hangs would be found out late."""
    sys.stderr.flush()
    os._exit(Exit.DEFECT)


def _locustfile_folder(environment: Environment) -> Path:
    """The folder of the ``users.py`` that Locust was started with."""
    user_class = environment.user_classes[0]
    return Path(str(sys.modules[user_class.__module__].__file__)).resolve().parent


def _place_among_workers(environment: Environment) -> tuple[int, int]:
    """This process's number and how many there are, as Locust's master told it."""
    number = getattr(environment.runner, "worker_index", 0)
    expected = getattr(environment.parsed_options, "expect_workers", 1) or 1
    return max(number, 0), max(expected, number + 1, 1)


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

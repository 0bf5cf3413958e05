"""Builds small run folders, in the format that ARCHITECTURE.md sets down, for tests of everything that reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.model import Event, Sample
from harness.record import format as layout
from harness.record.reader import Run
from harness.record.row import ROW
from harness.record.writer import EventWriter, JsonLines, SampleWriter, write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request row; times in seconds, ``acquired_s`` None where no connection was got."""

    intended_s: float
    response_s: float = 0.010
    operation: str = "craft"
    outcome: str = "ok"
    lag_s: float = 0.0
    pool_wait_s: float | None = 0.001
    attempt: int = 1
    arrival: int | None = None
    worker: int = 0


@dataclass(slots=True, kw_only=True)
class RunBuilder:
    """What goes into a run folder; :meth:`write` makes it. The defaults are a valid, quiet run of 30 s."""

    folder: Path
    incident: str = "crafting-burst"
    variant: str = "before"
    expect: str = "symptoms"
    symptoms: Sequence[Mapping[str, str]] = ()
    thresholds: Sequence[Mapping[str, str]] = ()
    requests: list[Request] = field(default_factory=list)
    samples: list[tuple[str, float, list[Sample]]] = field(default_factory=list)  # probe, at_s, samples
    events: list[Event] | None = None  # None: each worker ready and done
    invariants: list[dict[str, Any]] | None = field(default_factory=lambda: [{"name": "nothing lost", "violations": 0}])
    deadlocks: list[dict[str, Any]] | None = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    finished: Mapping[str, Any] | None = field(default_factory=lambda: {"status": "completed", "at_s": 41.0, "why": ""})
    scheduled: Mapping[str, int] | None = None  # None: as many as were recorded
    workers: int = 1
    interval_s: float = 1.0
    open_model: bool = True
    phases: Sequence[Mapping[str, Any]] = (
        {"kind": "constant", "name": "calm", "at_s": 0.0, "for_s": 10.0, "per_s": 20.0},
        {"kind": "constant", "name": "burst", "at_s": 10.0, "for_s": 20.0, "per_s": 80.0},
    )
    meta: dict[str, Any] = field(default_factory=dict)  # further keys of run.json, or other values for them

    def ticks(
        self, probe: str, metric: str, values: Mapping[float, float | None], labels: Mapping[str, str] | None = None
    ) -> RunBuilder:
        """Add one metric's samples by time; None is a missed tick."""
        for at_s, value in values.items():
            if value is not None:
                sample = Sample(at_s=at_s, metric=metric, value=value, labels=labels or {})
                self.samples.append((probe, at_s, [sample]))
        return self

    def every_second(self, probe: str, metric: str, values: Iterable[float | None], **labels: str) -> RunBuilder:
        """Add one metric's samples at 0 s, 1 s, … ; None is a missed tick."""
        return self.ticks(probe, metric, {float(at_s): value for at_s, value in enumerate(values)}, labels)

    def quiet_probes(self) -> RunBuilder:
        """Add what an idle server gives for every second of traffic and drain: little of everything, no deadlock."""
        for second in range(-1, 42):
            at_s = float(second)
            self.samples.append(("database", at_s, [Sample(at_s=at_s, metric="pg_stat_database_deadlocks", value=3.0)]))
            self.samples.append(
                (
                    "process",
                    at_s,
                    [
                        Sample(
                            at_s=at_s,
                            metric="container_cpu_usage_seconds_total",
                            value=100.0 + 0.1 * second,
                            labels={"name": "postgres"},
                        ),
                        Sample(
                            at_s=at_s,
                            metric="flashcrowd_cpu_allotment_cores",
                            value=1.0,
                            labels={"name": "postgres"},
                        ),
                    ],
                )
            )
        return self

    def write(self) -> Run:
        """Write the folder and open it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / layout.RUN, self._run_json())
        self._write_requests()
        self._write_samples()
        self._write_events()
        if self.invariants is not None:
            write_json(self.folder / layout.INVARIANTS, self.invariants)
        if self.deadlocks is not None:
            _write_lines(self.folder / layout.DEADLOCKS, self.deadlocks)
        if self.failures:
            _write_lines(self.folder / "failures-0.jsonl", self.failures)
        if self.finished is not None:
            write_json(self.folder / layout.FINISHED, dict(self.finished))
        return Run(self.folder)

    def _run_json(self) -> dict[str, Any]:
        ends_s = max(phase["at_s"] + phase["for_s"] for phase in self.phases)
        counted: dict[str, int] = {}
        for request in self.requests:
            if request.attempt == 1:
                counted[request.operation] = counted.get(request.operation, 0) + 1
        meta = {
            "format": layout.VERSION,
            "incident": self.incident,
            "title": "Crafting burst",
            "story": "An event opened.",
            "source": {"title": "post-mortem", "date": "2023-05-07", "url": None},
            "variant": {"name": self.variant, "story": "as it was", "expect": self.expect},
            "symptoms": [{"said": "", **symptom} for symptom in self.symptoms],
            "thresholds": [dict(threshold) for threshold in self.thresholds],
            "open": self.open_model,
            "phases": [dict(phase) for phase in self.phases],
            "ends_s": ends_s,
            "drain_s": 10.0,
            "mix": {"craft": 1.0, "view_recipe": 1.0},
            "operations": ["craft", "view_recipe"],
            "scheduled": dict(self.scheduled) if self.scheduled is not None else counted,
            "application": {"pool_size": 60},
            "seed": 1,
            "scale": 1.0,
            "rate": 1.0,
            "interval_s": self.interval_s,
            "workers": self.workers,
            "origin": {"monotonic_ns": 10**12, "wall_s": 1.8e9},
            "stack": {"provider": "embedded", "postgres": {"version": "18.6", "cpus": 1, "max_connections": 70}},
            "machine": {"cores": 2},
            "versions": {"flashcrowd": "0.1.0"},
            "command": "flashcrowd run crafting-burst",
        }
        return {**meta, **self.meta}

    def _write_requests(self) -> None:
        operations = sorted({request.operation for request in self.requests})
        outcomes = sorted({request.outcome for request in self.requests})
        for worker in range(self.workers):
            own = [(at, request) for at, request in enumerate(self.requests) if request.worker == worker]
            rows = np.zeros(len(own), dtype=ROW)
            for row, (at, request) in zip(rows, own, strict=True):
                intended = round(request.intended_s * 1e9)
                started = intended + round(request.lag_s * 1e9)
                row["intended"], row["started"] = intended, started
                row["acquired"] = (
                    layout.NOT_REACHED if request.pool_wait_s is None else started + round(request.pool_wait_s * 1e9)
                )
                row["finished"] = intended + round(request.response_s * 1e9)
                row["arrival"] = at if request.arrival is None else request.arrival
                row["operation"] = operations.index(request.operation)
                row["outcome"] = outcomes.index(request.outcome)
                row["attempt"] = request.attempt
            (self.folder / f"requests-{worker}.rows").write_bytes(rows.tobytes())
            codes = [
                {"kind": kind, "code": code, "name": name}
                for kind, names in (("operation", operations), ("outcome", outcomes))
                for code, name in enumerate(names)
            ]
            _write_lines(self.folder / f"requests-{worker}.jsonl", codes)

    def _write_samples(self) -> None:
        merged: dict[tuple[str, float], list[Sample]] = {}
        for probe, at_s, samples in self.samples:
            merged.setdefault((probe, at_s), []).extend(samples)
        writer = SampleWriter(self.folder)
        for (probe, at_s), samples in sorted(merged.items(), key=lambda entry: entry[0][1]):
            writer.append(probe, at_s, 0.001, samples)
        writer.close()

    def _write_events(self) -> None:
        events = self.events
        if events is None:
            events = [
                event for worker in range(self.workers) for event in (worker_event(worker, "ready"), self._done(worker))
            ]
        writer = EventWriter(self.folder)
        for event in events:
            writer.append(event)
        writer.close()

    def _done(self, worker: int) -> Event:
        rows = sum(request.worker == worker and request.attempt == 1 for request in self.requests)
        return worker_event(worker, "done", at_s=40.0, scheduled=rows, begun=rows, cap_reached=False)


def worker_event(worker: int, state: str, *, at_s: float = -1.0, **fields: object) -> Event:
    """What a worker says of itself."""
    return Event(
        at_s=at_s, kind="worker", text=f"worker {worker} {state}", fields={"worker": worker, "state": state, **fields}
    )


def steady(
    *, seconds: float = 30.0, per_s: float = 20.0, response_s: float = 0.010, operation: str = "craft"
) -> list[Request]:
    """Requests at an even rate, all alike."""
    count = round(seconds * per_s)
    return [Request(intended_s=at / per_s, response_s=response_s, operation=operation) for at in range(count)]


def _write_lines(path: Path, values: Iterable[Any]) -> None:
    lines = JsonLines(path)
    for value in values:
        lines.append(value)
    lines.close()


def read(path: Path) -> Any:
    """The value of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))

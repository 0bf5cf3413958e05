"""Checks an incident's declaration, before anything is started: first the types of all fields, then what they say."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from harness import dataset
from harness.catalog.declared_types import type_problem
from harness.catalog.measured import measured
from harness.catalog.mongo_client import mongo_client_problem
from harness.catalog.operations import check_operations
from harness.catalog.services import services_problem
from harness.catalog.timeline import timeline_problem
from harness.criteria import ALL_OPERATIONS, parse
from harness.errors import DefinitionError
from harness.model import (
    AddReplica,
    Connections,
    Constant,
    Criterion,
    Expect,
    Incident,
    OpenPhase,
    Phase,
    Ramp,
    Spike,
    Topology,
    Traffic,
)
from harness.record.format import MOST_ATTEMPTS

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
#: Phases that touch may differ by a rounding of decimal numbers: 0.1 + 0.2 is not 0.3.
_TOUCH_S = 1e-9
MOST_REPLICAS = 8
MOST_MEMBERS = 7  # more would not vote
LEAST_CACHE_BYTES = 256 * 1024**2
LEAST_MEMORY_BYTES = 64 * 1024**2


def check(incident: Incident, path: Path) -> None:
    """Check a declaration.

    :param path: the ``incident.py`` that holds it
    :raises DefinitionError: the first thing that is wrong with it
    """
    _Check(path).all(incident)


class _Check:
    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self, incident: Incident) -> None:
        if problem := type_problem(incident):
            self._refuse(problem.field, problem.value, problem.expected)
        self._identity(incident)
        self._servers(incident)
        self._traffic(incident.traffic)
        self._variants(incident)
        self._timelines(incident)
        self._criteria(incident)
        self._dataset(incident)
        check_operations(incident, self._path)

    def _identity(self, incident: Incident) -> None:
        name = self._path.parent.name.replace("_", "-")
        self._need(
            _NAME.fullmatch(incident.name) is not None and incident.name == name,
            "name",
            incident.name,
            f"{name!r}, as its folder is called, in lower case",
        )
        self._need(bool(incident.title.strip()), "title", incident.title, "a few words")
        self._need(
            bool(incident.source.title.strip()), "source.title", incident.source.title, "where it was told in public"
        )
        self._not_negative("drain_s", incident.drain_s)

    def _servers(self, incident: Incident) -> None:
        application = incident.application
        self._topology(incident.topology)
        self._need(application.pool_size >= 1, "application.pool_size", application.pool_size, "at least 1")
        readers = application.reader_pool_size
        self._need(readers >= 0, "application.reader_pool_size", readers, "0 or more connections")
        for limit in ("pool_wait_limit_s", "statement_timeout_s", "time_limit_s"):
            value = getattr(application, limit)
            if value is not None:
                self._above_zero(f"application.{limit}", value)
        if problem := mongo_client_problem(application.mongo, incident.topology):
            self._refuse(problem.field, problem.value, problem.expected)
        if application.connections is Connections.PER_USER and incident.traffic.phases and incident.traffic.is_open:
            self._refuse(
                "application.connections",
                application.connections.value,
                "pool: connections per user need phases of Users",
            )

    def _topology(self, topology: Topology) -> None:
        postgres, mongo = topology.postgres, topology.mongo
        self._need(postgres is not None or mongo is not None, "topology", topology, "at least one database")
        if postgres is not None:
            self._allotment("topology.postgres", postgres.cpus, postgres.memory_bytes)
            self._need(
                0 <= postgres.replicas <= MOST_REPLICAS,
                "topology.postgres.replicas",
                postgres.replicas,
                f"0 to {MOST_REPLICAS}",
            )
            if postgres.replica_cpus is not None:
                self._above_zero("topology.postgres.replica_cpus", postgres.replica_cpus)
        if mongo is not None:
            self._allotment("topology.mongo", mongo.cpus, mongo.memory_bytes)
            self._need(
                1 <= mongo.members <= MOST_MEMBERS, "topology.mongo.members", mongo.members, f"1 to {MOST_MEMBERS}"
            )
            self._need(
                mongo.cache_bytes >= LEAST_CACHE_BYTES,
                "topology.mongo.cache_bytes",
                mongo.cache_bytes,
                "at least 256 MiB, WiredTiger's own minimum",
            )
        if problem := services_problem(topology):
            self._refuse(problem.field, problem.value, problem.expected)

    def _allotment(self, field: str, cpus: float, memory_bytes: int | None) -> None:
        self._above_zero(f"{field}.cpus", cpus)
        if memory_bytes is not None:
            self._need(
                memory_bytes >= LEAST_MEMORY_BYTES,
                f"{field}.memory_bytes",
                memory_bytes,
                "at least 64 MiB: no server starts in less",
            )

    def _traffic(self, traffic: Traffic) -> None:
        self._need(bool(traffic.phases), "traffic.phases", traffic.phases, "at least one phase")
        self._distinct("traffic.phases", [phase.name for phase in traffic.phases])
        for number, phase in enumerate(traffic.phases):
            self._phase(f"traffic.phases[{number}]", phase)
            kind = "Users (closed model)" if not traffic.is_open else "Constant, Ramp or Spike (open model)"
            self._need(
                isinstance(phase, OpenPhase) == traffic.is_open,
                f"traffic.phases[{number}]",
                type(phase).__name__,
                f"{kind}, as the first phase is: all open or all closed",
            )
        for number, (before, after) in enumerate(zip(traffic.phases, traffic.phases[1:], strict=False), start=1):
            end_s = before.at_s + before.for_s
            self._need(
                after.at_s >= end_s - _TOUCH_S,
                f"traffic.phases[{number}].at_s",
                after.at_s,
                f"at least {end_s:g}, the end of {before.name!r}: phases are in order and do not overlap",
            )
        self._mix(traffic)

    def _phase(self, field: str, phase: Phase) -> None:
        self._need(
            bool(phase.name.strip()) and phase.name == " ".join(phase.name.split()),
            f"{field}.name",
            phase.name,
            "words with single blanks between them",
        )
        self._not_negative(f"{field}.at_s", phase.at_s)
        self._above_zero(f"{field}.for_s", phase.for_s)
        if isinstance(phase, Constant):
            self._above_zero(f"{field}.per_s", phase.per_s)
        elif isinstance(phase, Ramp):
            self._not_negative(f"{field}.per_s", phase.per_s)
            self._not_negative(f"{field}.to_per_s", phase.to_per_s)
            self._need(
                phase.per_s > 0 or phase.to_per_s > 0, f"{field}.to_per_s", phase.to_per_s, "above 0, as it begins at 0"
            )
        elif isinstance(phase, Spike):
            self._not_negative(f"{field}.per_s", phase.per_s)
            self._above_zero(f"{field}.peak_per_s", phase.peak_per_s)
            self._need(
                0 <= phase.peak_at_s <= phase.for_s,
                f"{field}.peak_at_s",
                phase.peak_at_s,
                f"0 to {phase.for_s:g}, within the phase",
            )
        else:
            self._need(phase.users >= 1, f"{field}.users", phase.users, "at least 1")
            self._not_negative(f"{field}.think_s", phase.think_s)

    def _mix(self, traffic: Traffic) -> None:
        self._need(bool(traffic.mix), "traffic.mix", traffic.mix, "at least one operation with its weight")
        for name, weight in traffic.mix.items():
            self._need(
                name.isidentifier() and name not in ALL_OPERATIONS,
                "traffic.mix",
                name,
                "a name that a coroutine function can have; `all` stands for all operations",
            )
            self._above_zero(f"traffic.mix[{name!r}]", weight)
        retry = traffic.retry
        if retry is not None:
            self._need(
                2 <= retry.attempts <= MOST_ATTEMPTS,
                "traffic.retry.attempts",
                retry.attempts,
                f"2 to {MOST_ATTEMPTS}, the first attempt included",
            )
            self._not_negative("traffic.retry.after_s", retry.after_s)
            self._need(bool(retry.operations), "traffic.retry.operations", retry.operations, "at least one operation")
            self._known("traffic.retry.operations", retry.operations, traffic.mix)

    def _variants(self, incident: Incident) -> None:
        names = [variant.name for variant in incident.variants]
        self._need(bool(names), "variants", incident.variants, "at least one variant")
        self._distinct("variants", names)
        for number, variant in enumerate(incident.variants):
            field = f"variants[{number}]"
            self._need(variant.name.isidentifier(), f"{field}.name", variant.name, "a name that a module can have")
            if variant.expect is Expect.SYMPTOMS:
                self._need(
                    bool(incident.symptoms),
                    "symptoms",
                    incident.symptoms,
                    f"at least one: {variant.name!r} is expected to show them",
                )
            if variant.expect is Expect.FIXED:
                self._need(
                    bool(incident.symptoms or incident.thresholds),
                    "symptoms",
                    incident.symptoms,
                    f"at least one symptom or threshold: {variant.name!r} is said to be fixed",
                )
        self._need(
            any(variant.by_default for variant in incident.variants),
            "variants",
            names,
            "at least one with by_default: `run` takes those when none is named",
        )

    def _timelines(self, incident: Incident) -> None:
        declared = {"timeline": incident.timeline}
        declared |= {
            f"variants[{number}].timeline": variant.timeline
            for number, variant in enumerate(incident.variants)
            if variant.timeline is not None
        }
        for field, steps in declared.items():
            if problem := timeline_problem(steps, field, incident.topology, incident.traffic):
                self._refuse(problem.field, problem.value, problem.expected)

    def _criteria(self, incident: Incident) -> None:
        self._distinct("symptoms", [symptom.name for symptom in incident.symptoms])
        self._distinct("thresholds", [threshold.name for threshold in incident.thresholds])
        traffic = incident.traffic
        steps = [step for variant in incident.variants for step in incident.steps(variant.name)]
        adds = any(isinstance(step.action, AddReplica) for step in steps)
        written = [
            (f"symptoms[{number}]", symptom.name, symptom.criterion) for number, symptom in enumerate(incident.symptoms)
        ]
        written += [
            (f"thresholds[{number}]", threshold.name, threshold.criterion)
            for number, threshold in enumerate(incident.thresholds)
        ]
        for field, name, text in written:
            self._need(bool(name.strip()), f"{field}.name", name, "a few words")
            field = f"{field}.criterion"
            criterion = parse(
                text,
                operations=traffic.mix,
                phases=[phase.name for phase in traffic.phases],
                where=str(self._path),
                field=field,
            )
            self._fits(field, criterion, traffic)
            self._need(
                measured(criterion.series, incident.topology, adds_replicas=adds),
                field,
                text,
                "a series of servers that the topology has",
            )

    def _fits(self, field: str, criterion: Criterion, traffic: Traffic) -> None:
        """A stretch of time must fit into the time that it is looked for in."""
        lengths = {phase.name: phase.for_s for phase in traffic.phases}
        room_s = lengths[criterion.phase] if criterion.phase is not None else traffic.ends_s
        if criterion.for_s is not None:
            self._need(
                criterion.for_s <= room_s,
                field,
                criterion.text,
                f"a stretch of at most {room_s:g} s, as there is no more time",
            )

    def _dataset(self, incident: Incident) -> None:
        declared = incident.dataset
        self._need(declared.version >= 1, "dataset.version", declared.version, "at least 1")
        self._above_zero("dataset.scale", declared.scale)
        self._known("dataset.records", declared.records, incident.traffic.mix)
        self._known("dataset.mongo_records", declared.mongo_records or (), incident.traffic.mix)
        try:
            dataset.load(declared, incident.topology)
        except DefinitionError as error:
            raise DefinitionError(
                where=str(self._path), field=f"dataset.{error.field}", value=error.value, expected=error.expected
            ) from error

    # --- the kinds of complaint

    def _above_zero(self, field: str, value: float) -> None:
        self._need(value > 0 and math.isfinite(value), field, value, "a number above 0")

    def _not_negative(self, field: str, value: float) -> None:
        self._need(value >= 0 and math.isfinite(value), field, value, "a number, 0 or above")

    def _distinct(self, field: str, names: Sequence[str]) -> None:
        for number, name in enumerate(names):
            self._need(name not in names[:number], f"{field}[{number}].name", name, "a name that no other has")

    def _known(self, field: str, names: Sequence[str], operations: Collection[str]) -> None:
        for number, name in enumerate(names):
            self._need(
                name in operations, f"{field}[{number}]", name, f"an operation of traffic.mix: {', '.join(operations)}"
            )

    def _need(self, good: bool, field: str, value: object, expected: str) -> None:
        if not good:
            self._refuse(field, dict(value) if isinstance(value, Mapping) else value, expected)

    def _refuse(self, field: str, value: object, expected: str) -> NoReturn:
        raise DefinitionError(where=str(self._path), field=field, value=value, expected=expected)

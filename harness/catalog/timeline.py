"""Checks a timeline before anything is started: that its steps have a time, name servers that there are, and do not contradict.

What only a running stack can tell, such as that its provider cannot cut a server off, is asked before the load begins; see
:mod:`harness.timeline`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from harness.catalog.declared_types import TypeProblem
from harness.catalog.measured import measured
from harness.criteria import parse
from harness.errors import DefinitionError
from harness.model import (
    Action,
    AddReplica,
    Comparator,
    CreateIndex,
    CreateMongoIndex,
    Criterion,
    CutOff,
    DropIndex,
    DropMongoIndex,
    Failpoint,
    FlushCache,
    Kill,
    Pause,
    RunCommand,
    RunProgram,
    RunSql,
    SetCpus,
    Step,
    Stop,
    Topology,
    Traffic,
)
from harness.model.timeline import MONGO_PRIMARY, MONGO_SECONDARIES, POSTGRES, POSTGRES_REPLICAS, undo_of, words
from harness.series import BY_NAME, Kind

#: Metrics that the load's workers write themselves: the harness, which waits for the condition, does not see them come.
_OF_WORKERS = ("flashcrowd_worker_", "flashcrowd_pool_")
_DOWN = (Pause, Stop, Kill, CutOff)


def timeline_problem(steps: Sequence[Step], field: str, topology: Topology, traffic: Traffic) -> TypeProblem | None:
    """The first thing that is wrong with a timeline; None if nothing is.

    :param field: where it stands, such as ``variants[1].timeline``
    """
    return next(_Check(steps, field, topology, traffic).problems(), None)


class _Check:
    def __init__(self, steps: Sequence[Step], field: str, topology: Topology, traffic: Traffic) -> None:
        self._steps, self._field, self._topology, self._traffic = steps, field, topology, traffic
        added = sum(isinstance(step.action, AddReplica) for step in steps)
        self._postgres, self._mongo = _servers(topology, added)
        self._services = {service.name: service.instance_names for service in topology.services}

    def problems(self) -> Iterator[TypeProblem]:
        for number, step in enumerate(self._steps):
            field = f"{self._field}[{number}]"
            yield from self._time(field, step)
            yield from self._server(field, step.action)
            yield from _contents(f"{field}.action", step.action)
        for (first, one), (second, other) in combinations(enumerate(self._steps), 2):
            if (state := self._shared_state(one.action, other.action)) and _overlap(one, other):
                yield TypeProblem(
                    field=f"{self._field}[{second}]",
                    value=words(other.action),
                    expected=f"something else or at another time: {state} by {self._field}[{first}] "
                    f"({words(one.action)}{_span(one)}) already",
                )

    def _time(self, field: str, step: Step) -> Iterator[TypeProblem]:
        ends_s = self._traffic.ends_s
        if (step.at_s is None) == (step.when is None):
            yield TypeProblem(field=f"{field}.at_s", value=step.at_s, expected="either at_s or when, and not both")
        if step.at_s is not None and not (math.isfinite(step.at_s) and 0 <= step.at_s < ends_s):
            yield TypeProblem(
                field=f"{field}.at_s", value=step.at_s, expected=f"0 to below {ends_s:g}, where the traffic ends"
            )
        if step.when is not None:
            yield from self._when(f"{field}.when", step.when)
        for name, value in (("for_s", step.for_s), ("limit_s", step.limit_s)):
            if value is not None and not (math.isfinite(value) and value > 0):
                yield TypeProblem(field=f"{field}.{name}", value=value, expected="a number above 0")
        if step.for_s is not None and undo_of(step.action) is None:
            hint = ""
            if isinstance(step.action, RunSql | RunCommand):
                hint = "; give the action an undo"
            yield TypeProblem(
                field=f"{field}.for_s",
                value=step.for_s,
                expected=f"None: {words(step.action)!r} cannot be undone during the run{hint}",
            )

    def _when(self, field: str, text: str) -> Iterator[TypeProblem]:
        try:
            criterion = parse(
                text,
                operations=self._traffic.mix,
                phases=[phase.name for phase in self._traffic.phases],
                where="",
                field=field,
            )
        except DefinitionError as error:
            yield TypeProblem(field=field, value=text, expected=error.expected)
            return
        if why := _not_live(criterion):
            yield TypeProblem(field=field, value=text, expected=why)
        adds = any(isinstance(step.action, AddReplica) for step in self._steps)
        if not measured(criterion.series, self._topology, adds_replicas=adds):
            yield TypeProblem(
                field=field, value=text, expected=f"a series of servers that the topology has{self._there}"
            )

    def _server(self, field: str, action: Action) -> Iterator[TypeProblem]:
        if isinstance(action, AddReplica | CreateIndex | DropIndex) and not self._postgres:
            yield TypeProblem(field=f"{field}.action", value=words(action), expected="a topology with PostgreSQL")
        if isinstance(action, CreateMongoIndex | DropMongoIndex) and not self._mongo:
            yield TypeProblem(field=f"{field}.action", value=words(action), expected="a topology with MongoDB")
        if isinstance(action, Failpoint) and self._topology.mongo is not None and not self._topology.mongo.failpoints:
            yield TypeProblem(
                field=f"{field}.action", value=words(action), expected="topology.mongo with failpoints=True"
            )
        server = _server_of(action)
        if server is None:
            return
        known = self._known
        if isinstance(action, RunSql):
            known = tuple(name for name in self._postgres if name != POSTGRES_REPLICAS)
        elif isinstance(action, RunCommand | Failpoint):
            known = self._mongo
        if server not in known:
            yield TypeProblem(
                field=f"{field}.action.server", value=server, expected=f"one of {', '.join(known) or 'none'}"
            )
        elif isinstance(action, FlushCache) and server in self._mongo and not action.restart:
            yield TypeProblem(
                field=f"{field}.action.restart",
                value=False,
                expected="True: MongoDB empties its cache only by a restart",
            )
        elif isinstance(action, FlushCache) and server not in self._postgres + self._mongo and not action.restart:
            yield TypeProblem(
                field=f"{field}.action.restart", value=False, expected="True: a service's caches go with its process"
            )

    def _shared_state(self, one: Action, other: Action) -> str:
        """What both set, in words; empty where they do not meet."""
        if isinstance(one, SetCpus) and isinstance(other, SetCpus) and self._meet(one.server, other.server):
            return "its cores are set"
        if isinstance(one, _DOWN) and isinstance(other, _DOWN) and self._meet(one.server, other.server):
            return "it is taken away"
        if isinstance(one, Failpoint) and isinstance(other, Failpoint) and one.name == other.name:
            return "that failpoint is set" if self._meet(one.server, other.server) else ""
        if (
            isinstance(one, CreateIndex | CreateMongoIndex)
            and type(one) is type(other)
            and _index(one) == _index(other)
        ):
            return "that index is created"
        if isinstance(one, DropIndex | DropMongoIndex) and type(one) is type(other) and _index(one) == _index(other):
            return "that index is dropped"
        return ""

    def _meet(self, one: str, other: str) -> bool:
        """Whether two names certainly have a server in common: who is primary is known at the moment of the action only."""
        replicas = {name for name in self._postgres if name not in (POSTGRES, POSTGRES_REPLICAS)}
        roles = {POSTGRES_REPLICAS: replicas, **self._services}
        return one == other or any(single in roles.get(every, ()) for every, single in ((one, other), (other, one)))

    @property
    def _there(self) -> str:
        return f": {', '.join(self._known)}"

    @property
    def _known(self) -> tuple[str, ...]:
        """Names and roles that a step may use."""
        services = [name for role, instances in self._services.items() for name in (*instances, role)]
        return (*self._postgres, *self._mongo, *services)


def _servers(topology: Topology, added: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names that steps may use of PostgreSQL servers and of MongoDB's members."""
    postgres: tuple[str, ...] = ()
    mongo: tuple[str, ...] = ()
    if topology.postgres is not None:
        replicas = tuple(f"postgres-replica-{number + 1}" for number in range(topology.postgres.replicas + added))
        postgres = (POSTGRES, *replicas, *((POSTGRES_REPLICAS,) if replicas else ()))
    if topology.mongo is not None:
        members = tuple(f"mongo-{number + 1}" for number in range(topology.mongo.members))
        mongo = (*members, MONGO_PRIMARY, *((MONGO_SECONDARIES,) if len(members) > 1 else ()))
    return postgres, mongo


def _server_of(action: Action) -> str | None:
    match action:
        case (
            Pause(server=server)
            | Stop(server=server)
            | Kill(server=server)
            | CutOff(server=server)
            | SetCpus(server=server)
            | RunSql(server=server)
            | RunCommand(server=server)
            | FlushCache(server=server)
            | Failpoint(server=server)
        ):
            return server
        case _:
            return None


def _contents(field: str, action: Action) -> Iterator[TypeProblem]:
    """What an action says besides its server."""
    match action:
        case SetCpus(cpus=cpus) if cpus <= 0:
            yield TypeProblem(field=f"{field}.cpus", value=cpus, expected="a number above 0")
        case CreateIndex(keys=keys) if not keys or not all(key.strip() for key in keys):
            yield TypeProblem(field=f"{field}.keys", value=keys, expected="at least one column")
        case CreateMongoIndex(keys=fields) if not fields:
            yield TypeProblem(field=f"{field}.keys", value={}, expected="at least one field with its direction")
        case RunSql(sql=sql) if not sql.strip():
            yield TypeProblem(field=f"{field}.sql", value=sql, expected="a statement")
        case RunCommand(command=command) if not command:
            yield TypeProblem(field=f"{field}.command", value={}, expected="a command, its name first")
        case RunProgram(arguments=arguments) if not arguments or not arguments[0]:
            yield TypeProblem(field=f"{field}.arguments", value=arguments, expected="a program and its arguments")
        case Failpoint(mode=mode) if not _is_mode(mode):
            yield TypeProblem(
                field=f"{field}.mode",
                value=dict(mode) if isinstance(mode, Mapping) else mode,
                expected='"alwaysOn", {"times": n}, {"skip": n} or {"activationProbability": p}',
            )
        case _:
            pass
    for name in ("name", "on", "collection"):
        value = getattr(action, name, None)
        if isinstance(value, str) and not value.strip():
            yield TypeProblem(field=f"{field}.{name}", value=value, expected="a name")


def _is_mode(mode: str | Mapping[str, float]) -> bool:
    if isinstance(mode, str):
        return mode == "alwaysOn"
    return len(mode) == 1 and next(iter(mode)) in ("times", "skip", "activationProbability")


def _not_live(criterion: Criterion) -> str | None:
    """Why a criterion cannot be waited for while a run goes on; None if it can."""
    series = BY_NAME.get(criterion.series)
    example = "write something like postgres.cpu >= 90% for 5s or max(postgres.connections) > 50"
    if series is None or series.metric.startswith(_OF_WORKERS):
        return f"{criterion.series} is known after the run only: {example}"
    upward = criterion.comparator in (Comparator.GT, Comparator.GE)
    if series.kind is Kind.TOTAL:
        return None if upward else f"{criterion.series} only grows: say > or >="
    if criterion.for_s is not None or criterion.statistic == "last":
        return None
    if (criterion.statistic == "max" and upward) or (
        criterion.statistic == "min" and criterion.comparator in (Comparator.LT, Comparator.LE)
    ):
        return None
    return f"{criterion.statistic} is settled when the run is over: {example}"


def _index(action: CreateIndex | DropIndex | CreateMongoIndex | DropMongoIndex) -> tuple[str, str]:
    return getattr(action, "collection", ""), action.name


def _overlap(one: Step, other: Step) -> bool:
    """Whether two steps are certainly in force at one time; what waits for a condition may come at any time."""
    if one.at_s is None or other.at_s is None:
        return False
    first, second = sorted((one, other), key=lambda step: step.at_s or 0.0)
    assert first.at_s is not None and second.at_s is not None
    return first.for_s is None or second.at_s < first.at_s + first.for_s


def _span(step: Step) -> str:
    until = "" if step.for_s is None else f" for {step.for_s:g} s"
    return f" at {step.at_s:g} s{until}"

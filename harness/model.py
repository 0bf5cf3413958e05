"""The nouns of Flashcrowd, and nothing else: this module imports nothing of ours.

All are frozen, slotted and keyword-only; copies are derived with :func:`dataclasses.replace`. Times are seconds, sizes
bytes, shares ratios; ``None`` means not measured or not declared, never 0.

Declared (what an incident's author writes): :class:`Incident` and what it is made of.
Observed (what a run leaves): :class:`Sample`, :class:`Event`.
Judged: :class:`Criterion`, :class:`Finding`, :class:`VariantVerdict`, :class:`Verdict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Labels = Mapping[str, str]


# --- the topology -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """One PostgreSQL server that an incident asks for.

    :param cpus: cores it is allotted; its CPU is reported as a share of this
    :param settings: server parameters, as in postgresql.conf
    """

    cpus: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """The servers of an incident."""

    postgres: PostgresServer = field(default_factory=PostgresServer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A schema and its deterministic seed.

    :param module: import path of a package under ``fixtures`` that has ``seed(connection, scale, seed)`` and
        ``check(connection, acknowledged, indeterminate)``; see :mod:`harness.dataset`
    :param version: to be raised whenever schema or seed change: cached copies of the old one are then not used
    :param records: operations whose acknowledged requests must be found in the data afterwards
    :param scale: 1.0 is the size that the incident was tuned with
    """

    module: str
    version: int
    records: tuple[str, ...] = ()
    scale: float = 1.0


# --- the traffic ------------------------------------------------------------------------------------------------------


class Process(StrEnum):
    """How arrivals of the open model are spaced."""

    POISSON = "poisson"  # independent people: exponential gaps
    EVEN = "even"  # a metronome


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Open arrivals at one rate. ``at_s`` counts from the start of the traffic, ``per_s`` is arrivals per second."""

    name: str
    at_s: float
    for_s: float
    per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """Open arrivals whose rate goes in a straight line from ``per_s`` to ``to_per_s``."""

    name: str
    at_s: float
    for_s: float
    per_s: float
    to_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spike:
    """Open arrivals whose rate goes from ``per_s`` straight up to ``peak_per_s`` at ``peak_at_s`` (after ``at_s``) and down again."""

    name: str
    at_s: float
    for_s: float
    per_s: float
    peak_per_s: float
    peak_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Closed model: ``users`` people who each wait for their answer, think ``think_s`` (exponential mean), and ask again."""

    name: str
    at_s: float
    for_s: float
    users: int
    think_s: float = 0.0


OpenPhase = Constant | Ramp | Spike
Phase = OpenPhase | Users


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What a person does whose request failed: tries again.

    :param attempts: most attempts in all, the first included
    :param after_s: mean of the exponential wait before the next attempt
    :param operations: names of the operations that are worth a second click
    """

    attempts: int
    after_s: float
    operations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Arrivals over time.

    :param phases: in order of time, not overlapping; either all open or all closed
    :param mix: operation name to weight; each arrival is one operation, drawn by weight from the seed
    """

    phases: tuple[Phase, ...]
    mix: Mapping[str, float]
    process: Process = Process.POISSON
    retry: Retry | None = None

    @property
    def ends_s(self) -> float:
        """When the last phase ends, seconds after the start of the traffic."""
        return max(phase.at_s + phase.for_s for phase in self.phases)

    @property
    def is_open(self) -> bool:
        """Whether arrivals come by schedule (open model) and not by users who wait (closed)."""
        return not isinstance(self.phases[0], Users)


class Connections(StrEnum):
    """How the application connects."""

    POOL = "pool"  # a bounded pool per application server
    PER_USER = "per_user"  # each user has a connection of its own (closed model)


class Driver(StrEnum):
    """The client library between application and database."""

    ASYNCPG = "asyncpg"
    PSYCOPG = "psycopg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """The application servers between the crowd and the database: what bounds the open model.

    :param pool_size: most connections over all workers; each worker has its share
    :param pool_wait_limit_s: a request that waited this long for a connection fails as ``pool_timeout``
    :param statement_timeout_s: the server's ``statement_timeout`` of each session; fails as ``57014``
    :param time_limit_s: a request that took this long since its start is given up on as ``time_limit``
    :param settings: further session parameters
    """

    pool_size: int = 20
    pool_wait_limit_s: float | None = None
    statement_timeout_s: float | None = None
    time_limit_s: float | None = None
    connections: Connections = Connections.POOL
    driver: Driver = Driver.ASYNCPG
    settings: Mapping[str, str] = field(default_factory=dict)


# --- what must be seen ------------------------------------------------------------------------------------------------


class Comparator(StrEnum):
    """How a value is held against its limit."""

    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    EQ = "=="
    NE = "!="


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """A statement about a run that can be true, false or unknown; parsed from text by :mod:`harness.criteria`.

    :param text: as written
    :param series: a name from :mod:`harness.series`: a sampled series, a part of a request's time, ``errors``, ``rate`` or ``count``
    :param operation: the operation that a request series is restricted to; None is all of them
    :param statistic: ``p99``, ``max``, ``mean``, … ; None where the series is one number, or where ``for_s`` is given
    :param limit: in the series' base unit
    :param for_s: the comparison must hold at every sample of a stretch at least this long
    :param phase: only what happened within this phase counts
    :param outcome: the one outcome that ``errors`` and ``count`` are restricted to; None is any (for ``errors``: any but ok)
    """

    text: str
    series: str
    comparator: Comparator
    limit: float
    operation: str | None = None
    statistic: str | None = None
    for_s: float | None = None
    phase: str | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """Something that was seen in the incident: must hold in ``before`` and must not in ``after``.

    :param said: what the post-mortem said of it, in a few words
    """

    name: str
    criterion: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Something that a variant which claims to be fixed must satisfy."""

    name: str
    criterion: str


class Expect(StrEnum):
    """What a variant is expected to show."""

    SYMPTOMS = "symptoms"  # the system as it was: every symptom
    FIXED = "fixed"  # the system with the fix: no symptom, every threshold
    NOTHING = "nothing"  # shown, not judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way the system can be.

    :param name: also the module under the incident's ``variants`` package that holds its operations
    :param by_default: whether ``run`` takes it when no variant is named
    """

    name: str
    story: str
    expect: Expect
    by_default: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where an incident was told in public."""

    title: str
    date: str
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """What happened, declared.

    :param drain_s: after the last arrival, how long requests in flight may still finish before they are cut off
    """

    name: str
    title: str
    story: str
    source: Source
    topology: Topology
    dataset: Dataset
    application: Application
    traffic: Traffic
    variants: tuple[Variant, ...]
    symptoms: tuple[Symptom, ...]
    thresholds: tuple[Threshold, ...] = ()
    drain_s: float = 10.0

    def variant(self, name: str) -> Variant:
        """The variant of that name.

        :raises KeyError: there is none
        """
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise KeyError(name)


# --- what a run leaves ------------------------------------------------------------------------------------------------


class Outcome:
    """Names of how a request can end besides a five-character SQLSTATE. Plain constants: workers invent ``error:<Type>`` too."""

    OK = "ok"
    POOL_TIMEOUT = "pool_timeout"  # no connection within the pool's wait limit
    TIME_LIMIT = "time_limit"  # given up on by the application
    CONNECTION_LOST = "connection_lost"  # the server went away under it
    CONNECTION_REFUSED = "connection_refused"  # the server could not be reached
    CUT_OFF = "cut_off"  # still in flight when the run ended: its time is a lower bound
    OUT_OF_DESCRIPTORS = "out_of_descriptors"  # the generator's own limit: makes the run invalid
    OUT_OF_PORTS = "out_of_ports"  # likewise
    OVER_CAP = "over_cap"  # never begun, because the generator's cap on requests in flight was reached: likewise

    GENERATOR_LIMITS = (OUT_OF_DESCRIPTORS, OUT_OF_PORTS, OVER_CAP)
    #: may have been committed although the client has no acknowledgement
    INDETERMINATE = (TIME_LIMIT, CONNECTION_LOST, CUT_OFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measured value.

    :param at_s: seconds since the run's origin
    :param metric: name as postgres_exporter or cAdvisor has it; ours begin with ``flashcrowd_``
    """

    at_s: float
    metric: str
    value: float
    labels: Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened during a run.

    :param kind: ``phase``, ``warning``, ``gap``, ``worker``, ``server``, ``interrupted``, …
    :param text: for people
    :param fields: for programs; JSON values
    """

    at_s: float
    kind: str
    text: str
    fields: Mapping[str, object] = field(default_factory=dict)


# --- the verdict ------------------------------------------------------------------------------------------------------


class Status(StrEnum):
    """pass, fail or unknown."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What evaluating one criterion on one run gave.

    :param held: whether the criterion is true; None is unknown, and unknown never passes
    :param value: the value that was compared, in ``unit``; for a ``for`` criterion the best that was sustained that long
    :param first_s: when the comparison was first true, seconds since the origin; None if never
    :param worst: the most extreme single value, in the direction of the comparison
    :param count: how many samples or requests satisfied the comparison
    :param why_unknown: why ``held`` is None
    """

    name: str
    criterion: str
    held: bool | None
    value: float | None
    unit: str
    first_s: float | None = None
    worst: float | None = None
    count: int | None = None
    why_unknown: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """What checking the dataset after a variant gave.

    :param violations: how many rows break it; None if it could not be checked
    """

    name: str
    violations: int | None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlockCount:
    """The same deadlocks counted by three parties that do not know of each other.

    :param client: requests that failed with SQLSTATE 40P01
    :param log: deadlock reports in the server's log
    :param counter: increase of ``pg_stat_database.deadlocks``
    :param matched: reports of the log whose victim is one of the client's failures
    """

    client: int | None
    log: int | None
    counter: int | None
    matched: int | None

    @property
    def agree(self) -> bool | None:
        """Whether all three are equal; None where one was not measured."""
        counts = (self.client, self.log, self.counter)
        return None if None in counts else len(set(counts)) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantVerdict:
    """One variant's run, judged.

    :param valid: False where the measurement cannot be trusted: neither pass nor fail
    """

    variant: str
    expect: Expect
    valid: bool
    why_invalid: tuple[str, ...]
    symptoms: tuple[Finding, ...]
    thresholds: tuple[Finding, ...]
    invariants: tuple[Invariant, ...]
    deadlocks: DeadlockCount
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An experiment, judged.

    :param reproduced: every symptom held in the variants that expect them; None if unknown or not run
    :param fixed: no symptom held in the variants that claim to be fixed; None likewise
    """

    incident: str
    status: Status
    reproduced: bool | None
    fixed: bool | None
    variants: tuple[VariantVerdict, ...]

"""Declared: what is done to the servers while the traffic goes on, when, and for how long.

Servers are named as their samples are (``postgres``, ``postgres-replica-1``, ``mongo-2``, ``web-1``), or by a role that is
looked up at the moment of the action: :data:`MONGO_PRIMARY`, :data:`MONGO_SECONDARIES`, :data:`POSTGRES_REPLICAS`, or the name
of a service, which means all its instances. What the timeline stops or kills no supervisor starts again.

Whatever an action changes is put back when its step's time is over, or when the run ends, however it ends; :func:`undo_of`
says how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

POSTGRES = "postgres"
POSTGRES_REPLICAS = "postgres-replicas"
MONGO_PRIMARY = "mongo-primary"
MONGO_SECONDARIES = "mongo-secondaries"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddReplica:
    """One more streaming replica of the PostgreSQL: base backup, start, replay; then the application's readers use it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A server hangs: its processes stop without ending, its connections stay open."""

    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A server is shut down in order."""

    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """A server's processes end as by a power cut."""

    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff:
    """A server is cut off from clients and other servers, as by a network partition."""

    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCpus:
    """A server gets other cores while it runs.

    :param cpus: how many
    """

    server: str
    cpus: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateIndex:
    """``CREATE INDEX`` on the PostgreSQL primary, in the dataset's database.

    :param on: the table, perhaps with its schema, as in ``public.items``
    :param keys: columns, or expressions as SQL has them, such as ``lower(name) DESC``
    :param where: a partial index's predicate
    """

    name: str
    on: str
    keys: tuple[str, ...]
    unique: bool = False
    where: str | None = None
    concurrently: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DropIndex:
    """``DROP INDEX`` on the PostgreSQL primary, in the dataset's database.

    :param name: perhaps with its schema
    """

    name: str
    concurrently: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateMongoIndex:
    """``createIndexes`` on the replica set's primary, in the dataset's database.

    :param keys: field to 1, -1, ``hashed``, …; their order counts
    :param options: of the index, such as ``{"unique": True}``
    :param commit_quorum: how many members must have built it before the primary commits it: a number, ``majority``,
        ``votingMembers``; None leaves it to the server
    :param write_concern: such as ``{"w": 1}``; None leaves it to the server
    """

    collection: str
    name: str
    keys: Mapping[str, int | str]
    options: Mapping[str, object] = field(default_factory=dict)
    commit_quorum: int | str | None = None
    write_concern: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DropMongoIndex:
    """``dropIndexes`` on the replica set's primary, in the dataset's database; ``write_concern`` as of :class:`CreateMongoIndex`."""

    collection: str
    name: str
    write_concern: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSql:
    """Statements on a PostgreSQL server, in the dataset's database, by the role for administration.

    :param sql: one or more statements; several are one transaction unless they say otherwise
    :param undo: statements that put back what it changed
    :param keep_open: the session stays until the step is undone, with the transaction and the locks that ``BEGIN; …`` left
    """

    sql: str
    server: str = POSTGRES
    undo: str | None = None
    keep_open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommand:
    """A MongoDB command, sent to members directly.

    :param command: its name first, as in ``{"profile": 0, "slowms": 20}``
    :param database: None is the dataset's
    :param undo: a command that puts back what it changed, sent to the same members
    """

    command: Mapping[str, object]
    server: str = MONGO_PRIMARY
    database: str | None = None
    undo: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgram:
    """A program on this machine, with the incident's folder as working folder and the servers' addresses in its environment.

    It is ended with all that it started when its step's time is over, when ``limit_s`` is, or when the harness ends, however.

    :param arguments: the program and its arguments; no shell reads them
    :param undo: a program that puts back what it changed
    """

    arguments: tuple[str, ...]
    undo: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushCache:
    """A server's own cache is emptied, so that pages are read anew; the operating system's cache of them stays.

    PostgreSQL from version 17 evicts its buffers by pg_buffercache. An older one and MongoDB know no way to do it.

    :param restart: by stopping and starting it, which ends all connections
    """

    server: str = POSTGRES
    restart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Failpoint:
    """A failpoint of mongod; needs ``MongoReplicaSet(failpoints=True)``.

    :param mode: ``alwaysOn``, or ``{"times": n}``, ``{"skip": n}``, ``{"activationProbability": p}``
    """

    name: str
    server: str
    mode: str | Mapping[str, float] = "alwaysOn"
    data: Mapping[str, object] = field(default_factory=dict)


Action = (
    AddReplica
    | Pause
    | Stop
    | Kill
    | CutOff
    | SetCpus
    | CreateIndex
    | DropIndex
    | CreateMongoIndex
    | DropMongoIndex
    | RunSql
    | RunCommand
    | RunProgram
    | FlushCache
    | Failpoint
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An action and its time: either ``at_s`` or ``when``.

    :param at_s: seconds after the traffic began
    :param when: a criterion of a sampled series, such as ``postgres.cpu >= 90% for 5s``: the first moment at which it is true
    :param for_s: how long after its begin it is undone; None: when the run ends
    :param limit_s: an action that takes longer is given up on, and has failed
    :param needed: whether the run says nothing without it, so that every finding is unknown where ``when`` never came true.
        False: a remedy, which a system that is well never needs
    """

    action: Action
    at_s: float | None = None
    when: str | None = None
    for_s: float | None = None
    limit_s: float = 60.0
    needed: bool = True


def stretched(steps: Sequence[Step], factor: float) -> tuple[Step, ...]:
    """The same steps at times that fit traffic whose phases were stretched or squeezed by ``factor``.

    >>> stretched([Step(action=Pause(server="mongo-1"), at_s=10, for_s=4)], 0.5)[0].at_s
    5.0
    """
    return tuple(
        replace(
            step,
            at_s=None if step.at_s is None else step.at_s * factor,
            for_s=None if step.for_s is None else step.for_s * factor,
        )
        for step in steps
    )


def undo_of(action: Action) -> str | None:
    """How an action is undone, in words; None where it cannot be, and only the reset before the next run puts it back.

    >>> undo_of(Pause(server="postgres")), undo_of(FlushCache())
    ('its processes go on', None)
    """
    match action:
        case Pause():
            return "its processes go on"
        case Stop() | Kill():
            return "it is started again"
        case CutOff():
            return "it rejoins"
        case SetCpus():
            return "it gets the cores that it had"
        case CreateIndex() | CreateMongoIndex():
            return "the index is dropped"
        case DropIndex() | DropMongoIndex():
            return "the index is created again as it was"
        case Failpoint():
            return "the failpoint is off"
        case RunSql(undo=None, keep_open=False) | RunCommand(undo=None) | FlushCache() | AddReplica():
            return None
        case RunSql(undo=None):
            return "its session ends"
        case RunSql() | RunCommand():
            return "its undo is run"
        case RunProgram(undo=()):
            return "it is ended"
        case RunProgram():
            return "it is ended, and its undo is run"


def words(action: Action) -> str:
    """What is done, in a few words.

    >>> words(SetCpus(server="mongo-2", cpus=0.5)), words(AddReplica())
    ('set the cores of mongo-2 to 0.5', 'add a replica of postgres')
    """
    match action:
        case AddReplica():
            return f"add a replica of {POSTGRES}"
        case Pause(server=server):
            return f"pause {server}"
        case Stop(server=server):
            return f"stop {server}"
        case Kill(server=server):
            return f"kill {server}"
        case CutOff(server=server):
            return f"cut off {server}"
        case SetCpus(server=server, cpus=cpus):
            return f"set the cores of {server} to {cpus:g}"
        case CreateIndex(name=name, on=on):
            return f"create index {name} on {on}"
        case CreateMongoIndex(name=name, collection=on):
            return f"create index {name} on {on}"
        case DropIndex(name=name):
            return f"drop index {name}"
        case DropMongoIndex(name=name, collection=on):
            return f"drop index {name} of {on}"
        case RunSql(sql=sql, server=server):
            return f"run on {server}: {_short(sql)}"
        case RunCommand(command=command, server=server):
            return f"run on {server}: {next(iter(command), '')}"
        case RunProgram(arguments=arguments):
            return f"run {_short(' '.join(arguments))}"
        case FlushCache(server=server, restart=restart):
            return f"{'restart' if restart else 'empty the cache of'} {server}"
        case Failpoint(name=name, server=server):
            return f"set failpoint {name} on {server}"


def timing(*, at_s: float | None, when: str | None, for_s: float | None) -> str:
    """When a step takes place, in words.

    >>> timing(at_s=5, when=None, for_s=2.5), timing(at_s=None, when="deadlocks > 3", for_s=None)
    ('at 5 s, for 2.5 s', 'when deadlocks > 3')
    """
    time = f"when {when}" if when is not None else "" if at_s is None else f"at {at_s:g} s"
    return time + ("" if for_s is None else f", for {for_s:g} s")


def _short(text: str, most: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"

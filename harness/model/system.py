"""Declared: the servers, the data on them, and the application between them and the crowd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A PostgreSQL primary, and the streaming replicas that follow it.

    :param cpus: cores it is allotted; its CPU is reported as a share of this
    :param memory_bytes: most memory it may use; None: no limit
    :param settings: server parameters, as in postgresql.conf
    :param replicas: how many follow it from the beginning; the timeline may add more
    :param replica_cpus: cores that each replica is allotted; None: as the primary
    :param replica_settings: what differs from ``settings`` on replicas
    """

    cpus: float = 1
    memory_bytes: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    replicas: int = 0
    replica_cpus: float | None = None
    replica_settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def cpus_of_a_replica(self) -> float:
        """Cores that each replica is allotted."""
        return self.cpus if self.replica_cpus is None else self.replica_cpus


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoReplicaSet:
    """A MongoDB replica set; its first member is the primary to begin with.

    :param members: 1 to 7
    :param cpus: cores that each member is allotted
    :param memory_bytes: most memory that each member may use; None: no limit
    :param cache_bytes: WiredTiger's cache of each member
    :param parameters: ``--setParameter`` of each member
    :param failpoints: whether members are started so that failpoints can be set
    """

    members: int = 3
    cpus: float = 1
    memory_bytes: int | None = None
    cache_bytes: int = 256 * 1024**2
    parameters: Mapping[str, str] = field(default_factory=dict)
    failpoints: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Processes of the application itself, between the crowd and the databases: a web service, a queue's workers.

    Each instance is a process (with its children) that is told in its environment where the databases and the other
    services are, which variant it is to be, and where to listen: ``HOST`` and ``PORT``. Its working folder is empty when it
    starts, and nobody else's. :mod:`harness.stack.services.service` lists the variables.

    :param name: its instances are called ``<name>-1``, ``<name>-2``, …
    :param command: the program and its arguments; no shell reads them. ``python`` is the interpreter that runs the harness,
        with its packages; modules are found beside the harness (``loadtests``, ``fixtures``) and in one's own folder of incidents
    :param cpus: cores that each instance is allotted
    :param memory_bytes: most memory that each instance may use: one that uses more is killed; None: no limit
    :param environment: further variables, such as the application's settings
    :param listens: whether it takes connections at ``PORT``; a queue's worker does not
    :param ready: a path such as ``/healthz`` that is answered with a status below 400 when the instance is ready; None: it is
        ready as soon as it takes connections, or runs where it does not listen
    :param ready_limit_s: how long its start may take
    :param restart_after_s: how long after its end an instance that ended by itself is started again, as a supervisor would;
        None: it is not, and its end breaks the run
    """

    name: str
    command: tuple[str, ...]
    instances: int = 1
    cpus: float = 1
    memory_bytes: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    listens: bool = True
    ready: str | None = None
    ready_limit_s: float = 30.0
    restart_after_s: float | None = None

    @property
    def instance_names(self) -> tuple[str, ...]:
        """The names of its instances: labels of their samples, and targets of a timeline.

        >>> Service(name="web", command=("python", "-m", "web"), instances=2).instance_names
        ('web-1', 'web-2')
        """
        return tuple(f"{self.name}-{number}" for number in range(1, self.instances + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """The servers of an incident; None: it has none of that kind."""

    postgres: PostgresServer | None = field(default_factory=PostgresServer)
    mongo: MongoReplicaSet | None = None
    services: tuple[Service, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A schema and its deterministic seed.

    :param module: import path of a package under ``fixtures`` with the functions that seed and check it; see :mod:`harness.dataset`
    :param version: to be raised whenever schema or seed change: cached copies of the old one are then not used
    :param records: operations whose acknowledged requests must be found in the data afterwards
    :param mongo_records: the same of MongoDB's data where a topology has both databases; None: as ``records``
    :param scale: 1.0 is the size that the incident was tuned with
    """

    module: str
    version: int
    records: tuple[str, ...] = ()
    mongo_records: tuple[str, ...] | None = None
    scale: float = 1.0


class Connections(StrEnum):
    """How the application connects."""

    POOL = "pool"  # a bounded pool per application server
    PER_USER = "per_user"  # each user has a connection of its own (closed model)


class Driver(StrEnum):
    """The client library between application and database."""

    ASYNCPG = "asyncpg"
    PSYCOPG = "psycopg"


class ReadPreference(StrEnum):
    """Which members of a MongoDB replica set an operation reads from, as MongoDB names it."""

    PRIMARY = "primary"
    PRIMARY_PREFERRED = "primaryPreferred"
    SECONDARY = "secondary"
    SECONDARY_PREFERRED = "secondaryPreferred"
    NEAREST = "nearest"


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoClientOptions:
    """How the application uses MongoDB. None is the driver's own default; an operation may use others for itself.

    :param pool_size: most connections to each member, over all workers; None: the application's ``pool_size``
    :param max_connecting: connections that a worker opens to one member at the same time (2)
    :param max_staleness_s: a secondary that is further behind takes no reads; at least 90
    :param read_concern: such as ``local`` or ``majority``
    :param write_concern: how many members must have a write, or ``majority``
    :param journal: whether they must have it on disk
    :param wtimeout_s: a write that not enough members have after this long fails as ``wtimeout``, and is not undone
    :param server_selection_timeout_s: a request for which there is no suitable member this long fails as ``no_server`` (30)
    :param connect_timeout_s: of opening a connection (20)
    :param socket_timeout_s: an answer that takes longer is ``connection_lost`` (no limit)
    :param retry_writes: whether the driver itself tries a write once more after an error of network or failover, as drivers do
        unless told otherwise; that shows in the service time, and the first failure nowhere
    :param retry_reads: the same of reads
    """

    pool_size: int | None = None
    max_connecting: int | None = None
    read_preference: ReadPreference = ReadPreference.PRIMARY
    max_staleness_s: int | None = None
    read_concern: str | None = None
    write_concern: int | str | None = None
    journal: bool | None = None
    wtimeout_s: float | None = None
    server_selection_timeout_s: float | None = None
    connect_timeout_s: float | None = None
    socket_timeout_s: float | None = None
    retry_writes: bool = True
    retry_reads: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """The application servers between the crowd and the database: what bounds the open model.

    :param pool_size: most connections over all workers; each worker has its share
    :param reader_pool_size: most connections to replicas, over all workers as well, for operations marked ``reads``; they
        go to the primary while there is no replica. 0: the application knows of no replicas, everything uses the one pool
    :param pool_wait_limit_s: a request that waited this long for a connection fails as ``pool_timeout``
    :param statement_timeout_s: the server's ``statement_timeout`` of each session; fails as ``57014``
    :param time_limit_s: a request that took this long since its start is given up on as ``time_limit``
    :param settings: further session parameters
    :param mongo: what concerns MongoDB alone; of the above, driver, settings, ``statement_timeout_s`` and readers concern
        PostgreSQL alone
    """

    pool_size: int = 20
    reader_pool_size: int = 0
    pool_wait_limit_s: float | None = None
    statement_timeout_s: float | None = None
    time_limit_s: float | None = None
    connections: Connections = Connections.POOL
    driver: Driver = Driver.ASYNCPG
    settings: Mapping[str, str] = field(default_factory=dict)
    mongo: MongoClientOptions = field(default_factory=MongoClientOptions)

"""Declared: the servers, the data on them, and the application between them and the crowd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


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

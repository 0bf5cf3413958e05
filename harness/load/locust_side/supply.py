"""Makes the sources of one worker: its share of the application's connections, to the servers that the environment names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from harness.errors import DefinitionError
from harness.load.locust_side.driver import Driver, driver_for
from harness.load.locust_side.pool import Pool
from harness.load.locust_side.reader_pool import ReaderPool
from harness.load.locust_side.readers import Readers
from harness.load.locust_side.source import Database, Source, Use
from harness.load.plan import DSN_VARIABLE, MONGO_VARIABLE, READERS_VARIABLE
from harness.model import Application


class Supply(Protocol):
    """What operations are supplied with; those that work with the same have the same source."""

    def shared(self, operations: Sequence[str]) -> list[Source]:
        """The source of each operation, which all of this worker's users share."""

    def of_one_user(self, operations: Sequence[str]) -> list[Source]:
        """The source of each operation, for a user who has a connection of their own."""

    def use_readers(self, dsns: Sequence[str]) -> None:
        """From now on these are the replicas that take reads."""


class WorkerSupply:
    """What this worker's operations are supplied with.

    :param uses: what each operation works with
    :raises DefinitionError: the environment does not say where a server is that an operation needs
    """

    def __init__(self, application: Application, uses: Mapping[str, Use], worker: int, workers: int) -> None:
        self._application = application
        self._worker, self._workers = worker, workers
        self._uses = uses
        if not application.reader_pool_size:  # the application knows of no replicas
            self._uses = {name: replace(use, reads=False) for name, use in uses.items()}
        self._primary: Driver | None = None
        self._readers: Readers | None = None
        self._mongo = ""
        databases = {use.database for use in uses.values()}
        if Database.MONGO in databases:
            self._mongo = _address(MONGO_VARIABLE, "the connection string")
        if Database.POSTGRES in databases:
            dsn = _address(DSN_VARIABLE, "the DSN")
            replicas = os.environ.get(READERS_VARIABLE, "").split()
            self._primary = driver_for(application, dsn)
            self._readers = Readers(lambda dsn: driver_for(application, dsn), replicas, fallback=dsn)

    def shared(self, operations: Sequence[str]) -> list[Source]:
        return self._sources(operations, self._share)

    def of_one_user(self, operations: Sequence[str]) -> list[Source]:
        return self._sources(operations, lambda _: 1)

    def use_readers(self, dsns: Sequence[str]) -> None:
        if self._readers is not None:
            self._readers.use(dsns)

    def _share(self, whole: int) -> int:
        """This worker's part of what all of them make up: at least one, or it could do nothing."""
        return max(1, whole // self._workers + (self._worker < whole % self._workers))

    def _sources(self, operations: Sequence[str], size_of: Callable[[int], int]) -> list[Source]:
        made = {use: self._source(use, size_of) for use in dict.fromkeys(self._uses[name] for name in operations)}
        return [made[self._uses[name]] for name in operations]

    def _source(self, use: Use, size_of: Callable[[int], int]) -> Source:
        application = self._application
        if use.database is Database.MONGO:
            from harness.load.locust_side.mongo import (
                MongoSource,  # the driver takes a worker's start a tenth of a second
            )

            return MongoSource(self._mongo, application, size_of(application.mongo.pool_size or application.pool_size))
        assert self._primary is not None and self._readers is not None, "made for every database that is in use"
        if use.reads:
            return ReaderPool(self._readers, size_of(application.reader_pool_size), application.pool_wait_limit_s)
        return Pool(self._primary, size_of(application.pool_size), application.pool_wait_limit_s)


def _address(variable: str, what: str) -> str:
    address = os.environ.get(variable)
    if not address:
        raise DefinitionError(
            where="environment", field=variable, value=address, expected=f"{what} of a seeded database"
        )
    return address

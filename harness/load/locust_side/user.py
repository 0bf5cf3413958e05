"""Locust users whose operations run as coroutines on the engine's loop: their class says on which database."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar, overload

import gevent
from locust import User
from locust.user.users import UserMeta

from harness.errors import DefinitionError, FlashcrowdError
from harness.load.locust_side.arrival import Arrival
from harness.load.locust_side.source import MARK, READS, Database
from harness.load.plan import VARIANT_VARIABLE, Plan

_Method = TypeVar("_Method", bound=Callable[[Any, Any, Arrival], Awaitable[None]])
#: How often a parked user looks whether Locust wants it to stop.
PARKED_S = 0.1


@overload
def operation(method: _Method) -> _Method: ...


@overload
def operation(*, reads: bool) -> Callable[[_Method], _Method]: ...


def operation(method: _Method | None = None, *, reads: bool = False) -> _Method | Callable[[_Method], _Method]:
    """Mark a coroutine method ``(self, connection, arrival)`` as an operation of that name.

    It also becomes a task to Locust, so that its web page lists it.

    :param reads: ``@operation(reads=True)``: it only reads, so its connection is one to a replica, where the application has
        a pool for those (``Application.reader_pool_size``)
    """

    def mark(method: _Method) -> _Method:
        setattr(method, MARK, True)
        setattr(method, READS, reads)
        method.locust_task_weight = 1  # type: ignore[attr-defined]
        return method

    return mark if method is None else mark(method)


def chosen_variant(users_file: str) -> ModuleType:
    """The module under ``variants/`` beside ``users.py`` that this process is to run.

    The harness names it in its plan; under a plain ``locust -f`` the environment variable FLASHCROWD_VARIANT does,
    else it is ``before``.
    """
    planned = Plan.of_environment()
    name = planned[0].variant if planned else os.environ.get(VARIANT_VARIABLE, "before")
    path = Path(users_file).resolve().parent / "variants" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"flashcrowd_variant_{name}", path)
    if spec is None or spec.loader is None or not path.exists():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("[a-z]*.py")))
        raise DefinitionError(where=str(path), field="variant", value=name, expected=f"one of {known}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class CrowdUser(User, metaclass=UserMeta):
    """A user of the application that the incident declares.

    A subclass in an incident's ``users.py`` marks its operations with :func:`operation`; their names are those of the
    traffic's mix.

    In the open model arrivals come by schedule and not from users: the first user of a worker stands for the crowd, and
    how many more there are changes nothing. In the closed model every user is one person, who does everything in the
    mix, whichever class Locust spawned; a class says on which database its operations are.

    :cvar database: of the operations
    """

    abstract = True
    database: ClassVar[Database]

    def run(self) -> None:
        """Stay parked while the engine does this user's work; Locust calls it in a greenlet of its own."""
        from harness.load.locust_side.engine import Engine  # Locust's master, who runs no users, has no use for it

        # Locust's run() would draw tasks and call them in this greenlet; ours belong to the loop's thread.
        self._state = "running"
        try:
            engine = Engine.of(self.environment)
        except FlashcrowdError as error:
            self._give_up(error)
            return
        engine.join(self)
        try:
            while self._state == "running":
                gevent.sleep(PARKED_S)
        finally:
            engine.leave(self)

    def _give_up(self, error: FlashcrowdError) -> None:
        """End the process: Locust itself would go on without anybody who does anything, and end well."""
        if self.environment.process_exit_code is None and self.environment.runner is not None:
            sys.stderr.write(f"flashcrowd: {error}\n")
            self.environment.process_exit_code = error.exit_code
            gevent.spawn(self.environment.runner.quit)  # it ends this greenlet as well


class PostgresUser(CrowdUser):
    """A user of an application on PostgreSQL.

    The connection that an operation gets is the declared driver's own (asyncpg or psycopg), out of the application's
    pool or the user's own, with no transaction open.
    """

    abstract = True
    database = Database.POSTGRES


class MongoUser(CrowdUser):
    """A user of an application on MongoDB.

    What an operation gets is the database of PyMongo's asynchronous client, ``(self, database, arrival)``, with the read
    preference, write concern and limits that the application declares; ``database.with_options(…)`` gives one with others,
    ``database.client`` the client, for sessions and transactions.
    """

    abstract = True
    database = Database.MONGO

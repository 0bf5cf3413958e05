"""How a request that failed is named: as the server names its error, else one of :class:`harness.model.Outcome`.

PostgreSQL's errors are named by their SQLSTATE, MongoDB's by the name of their code.
"""

from __future__ import annotations

import asyncio
import errno
import sys
from typing import TYPE_CHECKING, TypeGuard

import asyncpg

from harness.load.locust_side.arrival import Declined
from harness.model import Outcome

if TYPE_CHECKING:
    from pymongo.errors import PyMongoError

_BY_ERRNO = {
    errno.EMFILE: Outcome.OUT_OF_DESCRIPTORS,
    errno.ENFILE: Outcome.OUT_OF_DESCRIPTORS,
    errno.EADDRNOTAVAIL: Outcome.OUT_OF_PORTS,
    errno.ECONNREFUSED: Outcome.CONNECTION_REFUSED,
    errno.ENOENT: Outcome.CONNECTION_REFUSED,  # the server's Unix socket is gone
}


class PoolTimeout(Exception):
    """No connection came free within the pool's wait limit."""


def outcome_of(error: BaseException) -> str:
    """The outcome's name."""
    if isinstance(error, Declined):
        return error.name
    if isinstance(error, PoolTimeout):
        return Outcome.POOL_TIMEOUT
    if isinstance(error, asyncio.CancelledError):
        return Outcome.CUT_OFF
    if isinstance(error, TimeoutError):
        return Outcome.TIME_LIMIT
    if _is_mongos(error):
        from harness.load.locust_side.mongo_outcome import outcome_of_mongo

        return outcome_of_mongo(error)
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        # 08xxx is "connection exception"; asyncpg invents 08003 itself when the server went away
        return Outcome.CONNECTION_LOST if state.startswith("08") else state
    if isinstance(error, OSError):
        found = _BY_ERRNO.get(_first_errno(error))
        if found:
            return found
        return Outcome.CONNECTION_LOST if isinstance(error, ConnectionError) else f"error:{type(error).__name__}"
    if isinstance(error, asyncpg.InternalClientError) and "cannot switch to state" in str(error):
        # The server had just said that it ends this idle session; asyncpg takes that for an operation in progress until
        # it has read the end of the stream as well. Two statements at once on one connection are an InterfaceError.
        return Outcome.CONNECTION_LOST
    if isinstance(error, asyncpg.InterfaceError) or _is_psycopgs(error):
        # both drivers say "connection is closed" this way; psycopg also wraps a refused connection
        refused = "refused" in str(error) or "No such file" in str(error)
        lost = refused or "clos" in str(error) or "terminat" in str(error)
        if lost:
            return Outcome.CONNECTION_REFUSED if refused else Outcome.CONNECTION_LOST
    return f"error:{type(error).__name__}"


def message_of(error: BaseException) -> str:
    """What the server or the driver said."""
    if _is_mongos(error):
        from harness.load.locust_side.mongo_outcome import message_of_mongo

        return message_of_mongo(error)
    return str(error)


def detail_of(error: BaseException) -> str:
    """What the server said besides: PostgreSQL's DETAIL, which for a deadlock tells who waited for whom; empty where it
    said nothing."""
    if _is_mongos(error):
        from harness.load.locust_side.mongo_outcome import detail_of_mongo

        return detail_of_mongo(error)
    diagnostic = getattr(error, "diag", None)  # psycopg
    detail = getattr(error, "detail", None) or getattr(diagnostic, "message_detail", None)
    return str(detail) if detail else ""


def _first_errno(error: OSError) -> int:
    """The errno, also where asyncio joined several failed addresses into one text."""
    if error.errno is not None:
        return error.errno
    for number in _BY_ERRNO:
        if f"[Errno {number}]" in str(error):
            return number
    return 0


def _is_mongos(error: BaseException) -> TypeGuard[PyMongoError]:
    """Whether PyMongo raised it. Asked by name, so that a worker without MongoDB need not import the driver."""
    errors = sys.modules.get("pymongo.errors")
    return errors is not None and isinstance(error, errors.PyMongoError)


def _is_psycopgs(error: BaseException) -> bool:
    """Whether psycopg says that a connection is of no use; asked by name for the same reason."""
    psycopg = sys.modules.get("psycopg")
    return psycopg is not None and isinstance(error, psycopg.InterfaceError | psycopg.OperationalError)
